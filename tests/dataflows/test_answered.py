"""The API's answers about ranges equal those of one batch computation over the log."""

from typing import Any

import msgspec
import polars as pl
import pytest

from audit.log_messages import read_log_messages
from audit.oracle import OracleResult, run_oracle, validate_log
from mobility.entities import ENTITIES, Entity
from mobility.measures import TOTALS
from mobility.records import MICRO
from mobility.settings import Store
from mobility.topics import trips_topic
from tests.api.expected import SUMS, amounts_of, client, get_json, iso, to_amounts
from tests.dataflows.conftest import Hub, trips_log
from tests.strategies import MINUTE, NOON

pytestmark = pytest.mark.services

HOUR = 60 * MINUTE
RANGES = [(NOON, NOON + HOUR), (NOON + 25 * MINUTE, NOON + 95 * MINUTE), (NOON - HOUR, NOON + HOUR)]
BY = {"trips": "trip_count", **{name.removeprefix("total_"): name for name in TOTALS}}


@pytest.fixture
def counted(hub: Hub) -> OracleResult:
    """Count with both stores; return the batch answer."""
    return count(hub, "redis", "postgres")


def count(hub: Hub, *stores: Store) -> OracleResult:
    """Run the flow over a log with duplicates, disorder and late trips; return the batch answer."""
    hub.settings = msgspec.structs.replace(hub.settings, stores=stores)
    hub.make_topics()
    hub.write(trips_log(7))
    done = hub.run()
    assert done.returncode == 0, done.stderr
    log = validate_log(read_log_messages(hub.settings, trips_topic(hub.settings)), hub.settings)
    expected = run_oracle(log, hub.settings)
    assert expected.count("late") > 0
    assert expected.count("duplicate") > 0
    assert set(expected.windows["entity"]) == {"driver", "vehicle_type"}
    return expected


def within(expected: OracleResult, entity: Entity, start: int, end: int) -> pl.DataFrame:
    """Return an entity's windows in a range."""
    in_range = pl.col("window_start").is_between(start, end, closed="left")
    return expected.windows.filter(pl.col("entity") == entity.name, in_range)


def sums(windows: pl.DataFrame, *by: str) -> list[dict[str, Any]]:
    """Return exact sums, by columns or of all."""
    totals = [pl.col(name).sum() for name in SUMS]
    return (windows.group_by(by).agg(totals) if by else windows.select(totals)).to_dicts()


@pytest.mark.parametrize("store", ["redis", "postgres"])
def test_series_are_the_batch_answer(hub: Hub, store: Store) -> None:
    """Every id of every entity has the windows and hours that the batch computation gives."""
    counted = count(hub, store)
    start, end = NOON - 12 * HOUR, NOON + 12 * HOUR
    with client(hub.settings) as http:
        for entity in ENTITIES:
            windows = within(counted, entity, start, end)
            hours = windows.with_columns(window_start=pl.col("window_start") // HOUR * HOUR)
            for entity_id in windows["id"].unique().to_list():
                for granularity, rows in (("PT5M", windows), ("PT1H", hours)):
                    mine = rows.filter(pl.col("id") == entity_id)
                    query = {"from": iso(start), "to": iso(end), "granularity": granularity}
                    body = get_json(http, f"/windows/{entity.name}", id=entity_id, **query)
                    found = [amounts_of(item, "window_start") for item in body["items"]]
                    expected = sorted(sums(mine, "window_start"), key=lambda s: s["window_start"])
                    assert found == [
                        {**to_amounts(row), "window_start": iso(row["window_start"])}
                        for row in expected
                    ]


@pytest.mark.parametrize(("start", "end"), RANGES)
def test_ranges_are_the_batch_answer(hub: Hub, counted: OracleResult, start: int, end: int) -> None:
    """Tops, summaries and comparisons of a range add up what the batch computation counted."""
    over = {"from": iso(start), "to": iso(end)}
    with client(hub.settings) as http:
        for entity in ENTITIES:
            windows = within(counted, entity, start, end)
            ids = sums(windows, "id")
            [whole] = sums(windows)
            for by, amount in BY.items():
                top = get_json(http, f"/top/{entity.name}", by=by, limit=100, **over)
                ranked = sorted(ids, key=lambda row: (-row[amount], row["id"]))
                assert [amounts_of(item, "id") for item in top["items"]] == [
                    to_amounts(row) for row in ranked
                ]
                assert top["total"] == to_amounts(whole)
            summary = get_json(http, f"/summary/{entity.name}", **over)
            assert amounts_of(summary) == to_amounts(whole)
            if ids:
                middle = sorted(row["total_revenue"] for row in ids)[(len(ids) + 1) // 2 - 1]
                assert summary["distribution"]["total_revenue"]["p50"] == middle / MICRO
            other = {"other_from": iso(NOON), "other_to": iso(NOON + 10 * MINUTE)}
            compared = get_json(http, f"/compare/{entity.name}", **over, **other)
            [right] = sums(within(counted, entity, NOON, NOON + 10 * MINUTE))
            assert amounts_of(compared["left"]) == to_amounts(whole)
            assert amounts_of(compared["right"]) == to_amounts(right)
            assert compared["difference"]["total_revenue"] == (
                (whole["total_revenue"] - right["total_revenue"]) / MICRO
            )
