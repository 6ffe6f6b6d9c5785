"""An entity is added to a folder, or removed from it, only with an option."""

import json
import pickle
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from mobility.entities import ENTITIES
from mobility.settings import Settings
from runtime.failures import RefusalError
from runtime.flows import TRIPS_STEP_ID
from runtime.folder_entities import first_whole_window, update_entities
from runtime.folder_record import FolderRecord, read_record
from runtime.recovery import stored_keys
from runtime.recovery_lock import lock_folder
from tests.strategies import MINUTE, NOON

WINDOW = 5 * MINUTE
FOUR = FolderRecord.of("main", Settings())
FIVE = replace(FOUR, entities={**FOUR.entities, "courier": None})


def used(folder: Path, *latest: int | None) -> Path:
    """Return a folder of four entities whose partitions have reached these event times."""
    lock_folder(folder, FOUR).close()
    rows = [
        (TRIPS_STEP_ID, f"{partition:03}", pickle.dumps({"latest": time}))
        for partition, time in enumerate(latest)
    ]
    rows += [(f"mobility_hub.{e.name}_windows", "0000", b"") for e in ENTITIES]
    with closing(sqlite3.connect(folder / "part-0.sqlite3")) as connection, connection:
        connection.executemany("INSERT INTO snaps VALUES ('', ?, ?, 1, ?)", rows)
        connection.execute("INSERT INTO exs VALUES ('', 0, 1, 1)")
        connection.execute("INSERT INTO fronts VALUES ('', 0, 0, 2)")
    return folder


def start(folder: Path, wanted: FolderRecord, *changes: str) -> FolderRecord:
    """Lock and update the folder as a start does; return its record."""
    lock = lock_folder(folder, wanted, changes)
    update_entities(folder, wanted, WINDOW)
    lock.close()
    return read_record(folder, wanted) or wanted


def test_a_fifth_entity_is_refused_by_name(tmp_path: Path) -> None:
    """The message has the remedy, and the folder is unchanged."""
    folder = used(tmp_path / "recovery", NOON)
    before = (folder / "flow.json").read_bytes()
    with pytest.raises(RefusalError, match=r"has no entity courier(.|\n)*--add-entity courier"):
        lock_folder(folder, FIVE)
    with pytest.raises(RefusalError, match="no entity courier"):
        lock_folder(folder, FIVE, ["boat"])
    assert (folder / "flow.json").read_bytes() == before


def test_a_folder_without_a_list_has_the_first_four(tmp_path: Path) -> None:
    """Folders of release 0.1 have no list."""
    folder = used(tmp_path / "recovery", NOON)
    record = json.loads((folder / "flow.json").read_text())
    del record["entities"]
    (folder / "flow.json").write_text(json.dumps(record))
    with pytest.raises(RefusalError, match="no entity courier"):
        lock_folder(folder, FIVE)
    assert start(folder, FOUR).entities == dict.fromkeys(
        ("driver", "passenger", "vehicle_type", "h3")
    )


def test_an_added_entity_counts_from_the_first_whole_window_on(tmp_path: Path) -> None:
    """Later starts need no option and change nothing."""
    folder = used(tmp_path / "recovery", NOON + 7 * MINUTE, NOON - MINUTE, None)
    record = start(folder, FIVE, "courier")
    assert record.counted_since == {"courier": NOON + 10 * MINUTE}
    assert start(folder, FIVE) == record
    assert start(folder, FIVE, "courier") == record


@pytest.mark.parametrize(
    ("latest", "since"),
    [
        ([], None),
        ([None], None),
        ([NOON - 1], NOON),
        ([NOON], NOON + WINDOW),
        ([NOON - 1, NOON + WINDOW, None], NOON + 2 * WINDOW),
    ],
)
def test_the_first_whole_window_has_no_trip_that_was_read(
    latest: list[int | None], since: int | None
) -> None:
    """The greatest event time of all partitions is before it."""
    states = {str(number): {"latest": time} for number, time in enumerate(latest)}
    assert first_whole_window(states, WINDOW) == since


def test_a_removed_entity_is_refused_and_starts_again_if_it_is_added(tmp_path: Path) -> None:
    """Its window state is deleted, because its windows would lack trips."""
    folder = used(tmp_path / "recovery", NOON)
    fewer = replace(FOUR, entities={"driver": None, "vehicle_type": None, "h3": None})
    with pytest.raises(RefusalError, match=r"counts the entity passenger(.|\n)*--remove-entity"):
        lock_folder(folder, fewer)
    assert "passenger" not in start(folder, fewer, "passenger").entities
    steps = {f"mobility_hub.{name}_windows" for name in ("driver", "vehicle_type", "h3")}
    assert stored_keys(folder).keys() == {TRIPS_STEP_ID, *steps}
    with pytest.raises(RefusalError, match="no entity passenger"):
        lock_folder(folder, FOUR)
    assert start(folder, FOUR, "passenger").counted_since == {"passenger": NOON + WINDOW}


def test_a_flow_that_reads_windows_takes_any_entity(tmp_path: Path) -> None:
    """The serving flow starts with the first window of each entity."""
    folder = tmp_path / "recovery"
    lock_folder(folder, FolderRecord.of("serving", Settings())).close()
    assert start(folder, replace(FIVE, flow="serving")).flow == "serving"
