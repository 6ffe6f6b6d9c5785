"""Distributions of single trips, against those of the trips themselves."""

import io
import math
import random
from typing import Any

import msgspec
import polars as pl
import polars.selectors as cs
import psycopg
import pytest
from litestar import Litestar
from litestar.testing import TestClient
from polars.testing import assert_frame_equal

from mobility.records import MICRO, PARTIAL_SCHEMA, WINDOW_SCHEMA
from mobility.settings import Settings
from mobility.sketched_measures import SKETCH_BY_NAME, SKETCHES
from mobility.sketches.columns import encoded_columns
from mobility.totals import aggregated_columns, partial_totals
from tests.api.expected import (
    DRIVER,
    LENGTH,
    NOON,
    client,
    fill_stores,
    get_json,
    iso,
    with_stores,
)
from tests.api.memory_store import problem_of

pytestmark = pytest.mark.services

DAY = 24 * 12 * LENGTH
IDS = ("a", "a/b", "distribution", "a/distribution", "without price")
PERCENTS = {"p50": 50, "p90": 90, "p99": 99}
AMOUNTS = {"trip_duration": "duration", "trip_distance": "distance", "trip_price": "revenue"}


def random_trips() -> pl.DataFrame:
    """Return counted trips of two days before NOON, whose amounts are skewed.

    Those of one id have no price, and some others have no distance.
    """
    draw = random.Random(11)  # noqa: S311 - the same numbers each time
    rows = []
    for _ in range(4_000):
        start, driver = NOON - draw.randrange(1, 2 * DAY), draw.choice(IDS)
        amounts = [round(draw.lognormvariate(2, 1) * MICRO) for _ in range(3)]
        rows.append(
            {
                "driver_id": driver,
                "passenger_id": f"p{draw.randrange(3_000)}",
                "start_time": start,
                "window_start": start // LENGTH * LENGTH,
                "duration": amounts[0],
                "distance": None if draw.random() < 0.1 else amounts[1],
                "revenue": None if driver == "without price" else amounts[2],
            }
        )
    return pl.DataFrame(rows)


TRIPS = random_trips()


def windows_of(trips: pl.DataFrame) -> pl.DataFrame:
    """Return the windows of trips, as the flow emits them."""
    totals = partial_totals(trips.select(aggregated_columns(DRIVER, SKETCHES)), DRIVER, SKETCHES)
    return encoded_columns(totals).select(
        *(pl.col(name).cast(kind) for name, kind in PARTIAL_SCHEMA.items()),
        pl.lit("on_time").alias("pane"),
        pl.lit(0, pl.Int64).alias("generation"),
        pl.exclude(PARTIAL_SCHEMA.names()),
    )


@pytest.fixture
def filled(settings: Settings) -> Settings:
    """Return settings with all optional measures, whose Postgres has the windows."""
    chosen = msgspec.structs.replace(settings, measures=tuple(SKETCH_BY_NAME))
    chosen = with_stores(chosen, "postgres")
    fill_stores(chosen, windows_of(TRIPS).sort("id", "window_start"))
    return chosen


def check_distributions(body: dict[str, Any], trips: pl.DataFrame) -> None:
    """Compare an answer with the trips that it is of."""
    assert body["trip_count"] == trips.height
    check_passengers(body["passengers"], trips)
    assert body["drivers"] is None
    for field, column in AMOUNTS.items():
        amounts = trips[column].drop_nulls().sort().to_list()
        found = body[field]
        if not amounts:
            assert found is None
            continue
        assert found["trip_count"] == len(amounts)
        for name, percent in PERCENTS.items():
            exact = amounts[math.ceil(len(amounts) * percent / 100) - 1] / MICRO
            assert found[name] == pytest.approx(exact, rel=0.02), (field, name)


def check_passengers(found: dict[str, Any] | None, trips: pl.DataFrame) -> None:
    """Compare the number of passengers with that of the trips; there are none without trips."""
    if trips.is_empty():
        assert found is None
        return
    assert found is not None
    assert found["trip_count"] == trips.height
    exact = trips["passenger_id"].n_unique()
    assert found["is_estimated"] == (exact >= 1_000)
    # Three standard errors.
    assert found["distinct"] == (pytest.approx(exact, rel=0.05) if exact >= 1_000 else exact)


RANGES: list[dict[str, str]] = [
    {},
    {"from": iso(NOON - DAY)},
    {"from": iso(NOON - DAY), "to": iso(NOON - DAY // 2)},
    {"from": iso(NOON - LENGTH), "to": iso(NOON)},
    {"from": iso(NOON - 2 * DAY), "to": iso(NOON), "hours": "8-9"},
    {"from": "2024-01-01", "to": "2024-01-02"},
]


def of_range(parameters: dict[str, str]) -> pl.DataFrame:
    """Return the trips of a range."""
    start = pl.from_epoch(pl.col("window_start"), "ms").dt.replace_time_zone("UTC")
    bounds = {
        name: pl.Series([text]).str.to_datetime(time_zone="UTC", strict=False).item()
        for name, text in parameters.items()
        if name != "hours"
    }
    trips = TRIPS
    if "from" in bounds:
        trips = trips.filter(start >= bounds["from"])
    if "to" in bounds:
        trips = trips.filter(start < bounds["to"])
    return trips.filter(start.dt.hour() == 8) if "hours" in parameters else trips


def test_an_id_a_range_and_a_whole_entity(filled: Settings) -> None:
    """Percentiles are within 2 % of those of the trips, and say of how many trips they are."""
    with client(filled) as http:
        for parameters in RANGES:
            trips = of_range(parameters)
            body = get_json(http, "/distribution/driver", **parameters)
            assert (body["entity"], body["id"], body["store"]) == ("driver", None, "postgres")
            check_distributions(body, trips)
            for entity_id in IDS:
                of_id = trips.filter(pl.col("driver_id") == entity_id)
                body = get_json(http, "/distribution/driver", id=entity_id, **parameters)
                check_distributions(body, of_id)
                quoted = entity_id.replace("/", "%2F").replace(" ", "%20")
                path = f"/metrics/driver/{quoted}/distribution"
                assert get_json(http, path, **parameters) == body
        assert not get_json(http, "/distribution/driver")["complete"]
        assert get_json(http, "/distribution/driver", to=iso(NOON - DAY))["complete"]
        problem_of(http.get("/metrics/driver/nobody/distribution"), 404)


def rows_with_distributions(
    http: TestClient[Litestar], entity: str = "driver", **query: str
) -> pl.DataFrame:
    """Return the rows of windows with distributions, which are the same in each format."""
    answers = [
        http.get(
            f"/windows/{entity}", params={**query, "distributions": "1", "format": name, "raw": "1"}
        )
        for name in ("parquet", "csv", "ndjson")
    ]
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    parquet, csv, ndjson = (io.BytesIO(answer.content) for answer in answers)
    rows = pl.read_parquet(parquet)
    texts = rows.with_columns(
        cs.datetime().dt.strftime("%Y-%m-%dT%H:%M:%SZ"), cs.decimal().cast(pl.Float64)
    )
    assert_frame_equal(pl.read_csv(csv, schema=texts.schema), texts)
    assert_frame_equal(pl.read_ndjson(ndjson, schema=texts.schema), texts)
    return rows


@pytest.mark.parametrize(("granularity", "length"), [("PT1H", 12), ("P1D", 288)])
def test_buckets_of_an_id_and_of_all(filled: Settings, granularity: str, length: int) -> None:
    """Each row has those of the trips of its id and its bucket."""
    query = {"from": iso(NOON - DAY), "to": iso(NOON), "granularity": granularity, "tz": "UTC"}
    bucket = pl.col("window_start") // (length * LENGTH) * (length * LENGTH)
    day = TRIPS.filter(pl.col("window_start").is_between(NOON - DAY, NOON, "left"))
    groups = day.sort("window_start").group_by(bucket, "driver_id")
    expected = {
        # The range cuts the first bucket of a day.
        (max(int(str(start)), NOON - DAY), str(driver)): trips
        for (start, driver), trips in groups
    }
    with client(filled) as http:
        rows = rows_with_distributions(http, **query)
        keys = rows.select(pl.col("window_start").dt.epoch("ms"), "id").rows()
        assert sorted(keys) == sorted(expected)
        for key, row in zip(keys, rows.to_dicts(), strict=True):
            check_row(row, expected[key])
        for entity_id in IDS:
            of_id = rows_with_distributions(http, id=entity_id, **query)
            assert_frame_equal(of_id, rows.filter(pl.col("id") == entity_id))
        plain = http.get("/windows/driver", params={**query, "format": "parquet"})
        assert_frame_equal(pl.read_parquet(io.BytesIO(plain.content)), rows[:, : -len(COLUMNS)])


COLUMNS = [
    *(f"{field}_{name}" for field in AMOUNTS for name in PERCENTS),
    "distinct_passengers",
]
"""The columns of distributions of drivers, which are the last ones."""


def check_row(row: dict[str, Any], trips: pl.DataFrame) -> None:
    """Compare the distributions in a row with the trips that it is of."""
    assert list(row)[-len(COLUMNS) :] == COLUMNS
    assert row["trip_count"] == trips.height
    assert row["distinct_passengers"] == trips["passenger_id"].n_unique() < 1_000
    for field, column in AMOUNTS.items():
        amounts = trips[column].drop_nulls().sort().to_list()
        for name, percent in PERCENTS.items():
            found = row[f"{field}_{name}"]
            if not amounts:
                assert found is None
                continue
            exact = amounts[math.ceil(len(amounts) * percent / 100) - 1] / MICRO
            assert found == pytest.approx(exact, rel=0.02), (field, name)


def test_a_bucket_with_a_window_without_the_measure(filled: Settings) -> None:
    """It is not known what all of its trips are like, but that of other buckets is."""
    first = windows_of(TRIPS)["window_start"].sort()[-1]
    one = TRIPS.filter(pl.col("window_start") == first).with_columns(
        driver_id=pl.lit("new"), passenger_id=pl.lit("p")
    )
    later = one.with_columns(pl.col("window_start") + LENGTH)
    fill_stores(filled, windows_of(one))
    fill_stores(filled, windows_of(later).select(WINDOW_SCHEMA.names()))
    with client(filled) as http:
        rows = rows_with_distributions(http, id="new", granularity="PT5M")
        assert rows["trip_count"].to_list() == [one.height, one.height]
        assert rows["distinct_passengers"].to_list() == [1, None]
        assert rows["trip_duration_p50"].is_null().to_list() == [False, True]
        [day] = rows_with_distributions(http, id="new", granularity="P1D").to_dicts()
        assert day["trip_count"] == 2 * one.height
        assert {day[name] for name in COLUMNS} == {None}


def test_windows_without_the_measure_are_left_out(filled: Settings) -> None:
    """The count says how many trips the percentiles are of; without any window they are null."""
    later = TRIPS.with_columns(pl.col("window_start") + 10 * DAY)
    plain = windows_of(later).select(WINDOW_SCHEMA.names())
    fill_stores(filled, plain.sort("id", "window_start"))
    since = iso(NOON + 5 * DAY)
    with client(filled) as http:
        whole = get_json(http, "/distribution/driver")
        assert whole["trip_count"] == 2 * TRIPS.height
        assert whole["trip_duration"]["trip_count"] == TRIPS.height
        lacking = get_json(http, "/distribution/driver", **{"from": since})
        assert lacking["trip_count"] == TRIPS.height
        assert [lacking[each.answer] for each in SKETCHES] == [None] * len(SKETCHES)


def test_a_ledger_without_the_columns_has_none(filled: Settings) -> None:
    """The API was started with the measures before the flow: that is no failure of Postgres."""
    with psycopg.connect(filled.postgres) as connection:
        for name in SKETCH_BY_NAME:
            connection.execute(f"ALTER TABLE driver_ledger DROP COLUMN IF EXISTS {name}")
    with client(filled) as http:
        for _ in range(2):
            body = get_json(http, "/distribution/driver", id="a")
            assert body["trip_count"] == TRIPS.filter(pl.col("driver_id") == "a").height
            assert body["trip_duration"] is None
        rows = rows_with_distributions(http)
        assert rows.height > 0
        assert rows.select(COLUMNS).null_count().row(0) == (rows.height,) * len(COLUMNS)


@pytest.mark.parametrize(
    "path",
    [
        "/distribution/driver",
        "/metrics/driver/a/distribution",
        "/windows/driver?distributions=1",
        "/windows/driver?distributions=1&id=a",
    ],
)
def test_what_is_missing_is_named(filled: Settings, path: str) -> None:
    """Without optional measures there are no distributions, and Redis has none."""
    with client(msgspec.structs.replace(filled, measures=())) as http:
        assert problem_of(http.get(path), 404)["type"].endswith("/problems/needs-measures")
    redis_only = with_stores(filled, "redis")
    fill_stores(redis_only, windows_of(TRIPS.filter(pl.col("window_start") > NOON - DAY)))
    with client(redis_only) as http:
        assert problem_of(http.get(path), 404)["type"].endswith("/problems/needs-postgres")
