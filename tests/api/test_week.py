"""The hours of the week, compared with Polars over the windows."""

from zoneinfo import ZoneInfo

import polars as pl
import pytest

from api.queries.hours_of_week import clock_spans, lengths_of_hours
from mobility.settings import Settings
from tests.api.expected import (
    LENGTH,
    NOON,
    SUMS,
    amounts_of,
    client,
    expected_amounts,
    fill_stores,
    get_json,
    iso,
    random_windows,
    with_stores,
)
from tests.api.memory_store import MemoryReader, problem_of
from tests.api.memory_store import client as memory_client

HOURS = 400
"""More than two weeks, with the night in which clocks go forward in Europe."""

ROWS = random_windows(hours=HOURS)
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
START, END = NOON - 390 * 3_600_000 - LENGTH, NOON - 3 * LENGTH
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe")


def by_hour_of_week(starts: pl.Expr, zone: str) -> list[pl.Expr]:
    """Return the columns with weekday (1 is Monday) and hour in a zone of times in epoch ms."""
    local = starts.cast(pl.Datetime("ms", "UTC")).dt.convert_time_zone(zone)
    return [local.dt.weekday().alias("day"), local.dt.hour().alias("hour")]


def lengths(zone: str) -> dict[tuple[str, int], float]:
    """Return how many hours of the range are in each hour of the week, counted by minutes."""
    minutes = pl.DataFrame({"start": pl.int_range(START, END, 60_000, eager=True)})
    counted = minutes.group_by(by_hour_of_week(pl.col("start"), zone)).len()
    return {(DAYS[day - 1], hour): number / 60 for day, hour, number in counted.rows()}


@pytest.fixture
def filled(settings: Settings) -> Settings:
    """Return settings with Postgres, filled with the windows."""
    found = with_stores(settings, "postgres")
    fill_stores(found, ROWS)
    return found


@pytest.mark.services
@pytest.mark.parametrize("zone", ZONES)
def test_hours_of_the_week(filled: Settings, zone: str) -> None:
    """All that the range has, with their length, and the sums of all ids or of one."""
    inside = ROWS.filter(pl.col("window_start").is_between(START, END, closed="left"))
    keyed = inside.with_columns(by_hour_of_week(pl.col("window_start"), zone))
    query = {"from": iso(START), "to": iso(END), "tz": zone}
    with client(filled) as http:
        bodies = {
            only: get_json(http, "/week/driver", **query, **only_id(only)) for only in (None, "a/b")
        }
    for only, body in bodies.items():
        rows = keyed if only is None else keyed.filter(id=only)
        expected = {
            (DAYS[row["day"] - 1], row["hour"]): amounts_of(row)
            for row in expected_amounts(rows, ["day", "hour"])
        }
        items = body["items"]
        assert {(item["weekday"], item["hour"]): item["hours"] for item in items} == lengths(zone)
        with_trips = [item for item in items if item["trip_count"]]
        assert {(it["weekday"], it["hour"]): amounts_of(it) for it in with_trips} == expected
        places = [DAYS.index(item["weekday"]) * 24 + item["hour"] for item in items]
        assert places == sorted(places)
        assert sum(item["trip_count"] for item in items) == rows["trip_count"].sum() > 0
        assert (body["id"], body["tz"], body["from"], body["complete"]) == (
            only,
            zone,
            iso(START),
            True,
        )


def only_id(entity_id: str | None) -> dict[str, str]:
    """Return the parameter of an id."""
    return {} if entity_id is None else {"id": entity_id}


@pytest.mark.services
def test_hours_without_trips_and_unknown_ids(filled: Settings) -> None:
    """They are zero, and such an id is a problem."""
    query = {"from": iso(NOON + 3_600_000), "to": iso(NOON + 2 * 3_600_000)}
    with client(filled) as http:
        [item] = get_json(http, "/week/driver", **query)["items"]
        assert (item["weekday"], item["hour"], item["hours"]) == ("sun", 13, 1.0)
        assert {item[name] for name in SUMS} == {0}
        problem_of(http.get("/week/driver", params={**query, "id": "nobody"}), 404)
        day = {"from": "2025-03-30", "to": "2025-03-31", "tz": "Europe/Berlin"}
        night = get_json(http, "/week/driver", **day)
    assert night["from"] == "2025-03-29T23:00:00Z"
    # Clocks go forward from 2:00.
    hours = [item["hour"] for item in night["items"]]
    assert hours == [0, 1, *range(3, 24)]


@pytest.mark.parametrize(
    ("query", "detail"),
    [
        ("", "from: needed"),
        ("from=2025-01-01", "to: needed"),
        ("from=1990-01-01&to=2025-01-01", "from: the range has more than 10,000 days"),
        ("from=2025-01-01&to=2025-01-02&tz=x", "tz: not the name"),
    ],
)
def test_ranges_that_are_refused(query: str, detail: str) -> None:
    """In words, before any store is asked."""
    store = MemoryReader("postgres")
    with memory_client(store) as http:
        refused = problem_of(http.get(f"/week/driver?{query}"), 400)
    assert refused["detail"].startswith(detail)
    assert store.queries == 0


def test_windows_that_are_no_part_of_an_hour() -> None:
    """Of seven minutes: they are in no one hour."""
    with memory_client(MemoryReader("postgres"), window=420) as http:
        refused = problem_of(http.get("/week/driver?from=2025-01-01&to=2025-01-02"), 400)
    assert "not a multiple" in refused["detail"]


def test_times_long_ago() -> None:
    """Before 1970, when days of zones had odd offsets, hours add up to the range as well."""
    start, end = -3_000_000_000_000, -1_500_000_000_000
    spans = list(clock_spans(start, end, ZoneInfo("Europe/Berlin")))
    assert spans[0].start == start
    assert spans[-1].end == end
    assert [span.end for span in spans[:-1]] == [span.start for span in spans[1:]]
    assert sum(lengths_of_hours(spans)) == end - start
