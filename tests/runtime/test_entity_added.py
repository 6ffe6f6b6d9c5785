"""An entity that the folder does not count: refused, or counted from the first whole window on."""

import json

import pytest
from polars.testing import assert_frame_equal

from mobility.entities import BY_NAME
from runtime.folder_record import FolderRecord, read_record
from runtime.recovery import delete_keys, stored_keys
from tests.dataflows.conftest import Hub, trips_log
from tests.dataflows.doubles import batch_answer
from tests.dataflows.test_services import assert_succeeded, concat_logs

pytestmark = pytest.mark.services

DRIVER, VEHICLE = BY_NAME["driver"], BY_NAME["vehicle_type"]


def test_an_added_entity_is_counted_from_a_whole_window_on(hub: Hub) -> None:
    """Windows before that are unchanged; those from there on are the batch answer."""
    hub.make_topics()
    log = trips_log(31)
    first, rest = [entries[:200] for entries in log], [entries[200:] for entries in log]
    hub.write(first)
    assert_succeeded(hub.run())
    before = hub.windows(DRIVER)
    without_drivers(hub)
    hub.write(rest)
    refused = hub.run()
    assert refused.returncode == 2
    assert "--add-entity driver" in refused.stderr

    assert_succeeded(hub.run("--add-entity", "driver"))
    record = read_record(hub.recovery, FolderRecord.of("main", hub.settings))
    assert record is not None
    since = record.counted_since["driver"]
    latest = max(entry.time for entries in first for entry in entries)
    assert since == (latest // hub.settings.window_ms + 1) * hub.settings.window_ms
    whole = batch_answer(concat_logs(first, rest), DRIVER, hub.settings)
    found = hub.windows(DRIVER)
    assert_frame_equal(
        found.filter(found["window_start"] < since), before.filter(before["window_start"] < since)
    )
    assert_frame_equal(
        found.filter(found["window_start"] >= since), whole.filter(whole["window_start"] >= since)
    )
    assert found.filter(found["window_start"] >= since).height > 0
    assert_frame_equal(hub.windows(VEHICLE), batch_answer(log, VEHICLE, hub.settings))


def without_drivers(hub: Hub) -> None:
    """Make the folder that of a flow which has never counted drivers."""
    path = hub.recovery / "flow.json"
    record = json.loads(path.read_text())
    del record["entities"]["driver"]
    path.write_text(json.dumps(record))
    for step, keys in stored_keys(hub.recovery).items():
        if step.endswith("_driver") or ".driver_" in step:
            delete_keys(hub.recovery, step, keys)
