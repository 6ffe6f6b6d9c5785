"""A backfill counts optional measures as the flow does, also where they were not on."""

import json

import msgspec
import polars as pl
import pytest

from backfill.current_windows import read_current_windows
from backfill.plan import diff_windows
from backfill.window_range import WindowRange
from backfill.writing import open_stores, write_windows
from mobility.entities import BY_NAME
from mobility.records import WINDOW_SCHEMA
from mobility.settings import Settings
from mobility.sketched_measures import SKETCH_BY_NAME, SKETCHES
from tests.backfill.recounting import recounting, to_message
from tests.dataflows.conftest import Hub
from tests.strategies import MINUTE, NOON

NAMES = [each.name for each in SKETCHES]
RANGE = WindowRange(NOON, NOON + 10 * MINUTE)
SETTINGS = Settings(region="location", measures=tuple(SKETCH_BY_NAME))


def recounted(settings: Settings, *trips: dict[str, object]) -> pl.DataFrame:
    """Return the windows of trips, as a backfill counts them."""
    values = [json.dumps({"start_time": NOON, "duration_min": 7} | trip) for trip in trips]
    with recounting(settings, RANGE) as found:
        found.read([to_message(0, at, value.encode()) for at, value in enumerate(values)])
        return found.windows()


def stored(wanted: pl.DataFrame) -> pl.DataFrame:
    """Return recounted windows as a store has them."""
    return wanted.with_columns(pane=pl.lit("on_time"), generation=pl.lit(0, pl.Int64))


TRIPS: tuple[dict[str, object], ...] = (
    {"driver_id": "a", "passenger_id": "p", "price": 2},
    {"driver_id": "a", "price": None},
)


def test_windows_that_lack_a_sketch_get_it() -> None:
    """They differ, as those that lack a measure do; others are left alone."""
    wanted = recounted(SETTINGS, *TRIPS)
    assert diff_windows(wanted, stored(wanted), 1).after.is_empty()
    lacking = stored(wanted).drop(NAMES)
    changes = diff_windows(wanted, lacking, 1)
    after = changes.after.sort("entity")
    assert after.select(NAMES).equals(wanted.sort("entity").select(NAMES), null_equal=True)
    assert changes.before[NAMES[0]].null_count() == changes.before.height == wanted.height
    only_one = stored(wanted).with_columns(
        pl.when(pl.col("entity") != "driver").then(NAMES[0]).alias(NAMES[0])
    )
    assert diff_windows(wanted, only_one, 1).after["entity"].to_list() == ["driver"]


def test_an_emptied_window_has_nothing_to_count() -> None:
    """What is known to be nothing is no bytes; what is not computed for the entity stays null."""
    current = stored(recounted(SETTINGS, *TRIPS))
    emptied = diff_windows(recounted(SETTINGS), current, 1).after
    by_entity = {row["entity"]: [row[name] for name in NAMES] for row in emptied.to_dicts()}
    assert by_entity["vehicle_type"] == [b""] * len(NAMES)
    assert by_entity["driver"] == [b"", b"", b"", b"", None]


def test_without_optional_measures_nothing_changes() -> None:
    """Windows have the columns of before."""
    plain = msgspec.structs.replace(SETTINGS, measures=())
    wanted = recounted(plain, *TRIPS)
    after = diff_windows(wanted, stored(wanted).clear(), 1).after
    assert after.columns == ["entity", *WINDOW_SCHEMA]


@pytest.mark.services
@pytest.mark.parametrize("stores", [("postgres",), ()])
def test_what_is_written_is_read_back(hub: Hub, stores: tuple[str, ...]) -> None:
    """From the ledger of Postgres, or without it from the topics."""
    hub.settings = chosen = msgspec.structs.replace(
        hub.settings, stores=stores, region="location", measures=tuple(SKETCH_BY_NAME)
    )
    hub.make_topics()
    wanted = recounted(chosen, *TRIPS)
    with open_stores(chosen) as opened:
        after = diff_windows(wanted, stored(wanted).clear(), 1).after
        write_windows(chosen, opened, after, lambda _text: None)
        found = read_current_windows(chosen, RANGE, lambda _text: None)
    key = ["entity", "id", "window_start"]
    columns = [*key, "trip_count", *NAMES]
    assert found.select(columns).sort(key).equals(after.select(columns).sort(key), null_equal=True)
    assert BY_NAME.keys() > {*found["entity"]} > {"driver"}
