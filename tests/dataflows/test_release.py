"""This release resumes recovery folders of earlier releases, and its results are exact.

Each `recovery.tar.xz` is the folder of a flow after kill -9, with MOBILITY_SHARDS=2: it had read
140 of the 240 messages of each partition of `release_0_1/log.ndjson`. `release_0_1` is of the first
release, `state_version_1` of the last one before the state was log-structured.
"""

import json
import pickle
import sqlite3
import tarfile
from contextlib import closing
from pathlib import Path

import pytest
from polars.testing import assert_frame_equal

from mobility.entities import BY_NAME
from mobility.measures import NULLABLE
from runtime.recovery import partition_paths, stored_keys, stored_states
from tests.dataflows.conftest import PARTITIONS, Hub
from tests.dataflows.doubles import batch_answer
from tests.strategies import Entry

pytestmark = pytest.mark.services

HERE = Path(__file__).parent
WAS_THERE = 140
SOURCE = "mobility_hub.trips_stream"


def release_log() -> list[list[Entry]]:
    """Return the log of the folder, with the messages after it."""
    log: list[list[Entry]] = [[] for _ in range(PARTITIONS)]
    for line in (HERE / "release_0_1" / "log.ndjson").read_text().splitlines():
        record = json.loads(line)
        log[record.pop("partition")].append(Entry(**record))
    return log


def unpack(release: str, hub: Hub) -> None:
    """Unpack the folder of a release; its topic had another id than that of the hub."""
    with tarfile.open(HERE / release / "recovery.tar.xz") as archive:
        # As a parameter, Python knows it since 3.11.4 only (PEP 706).
        archive.extraction_filter = getattr(tarfile, "data_filter", None)
        archive.extractall(hub.recovery.parent)  # noqa: S202 - an archive of our own
    for path in partition_paths(hub.recovery):
        with closing(sqlite3.connect(path)) as connection, connection:
            snaps = connection.execute(
                "SELECT rowid, ser_change FROM snaps WHERE step_id = ?", (SOURCE,)
            ).fetchall()
            for row, state in snaps:
                forgotten = pickle.dumps({**pickle.loads(state), "topic_id": None})  # noqa: S301 - ours
                connection.execute(
                    "UPDATE snaps SET ser_change = ? WHERE rowid = ?", (forgotten, row)
                )


@pytest.mark.parametrize("processes", ["1", "2"])
@pytest.mark.parametrize("release", ["release_0_1", "state_version_1"])
def test_a_folder_of_an_earlier_release_still_resumes(
    hub: Hub, release: str, processes: str
) -> None:
    """Its windows get the totals of the batch answer; those that were closed are not sent again.

    Trips that it had counted come again, and are duplicates.
    """
    unpack(release, hub)
    assert "000" in stored_keys(hub.recovery)[SOURCE]
    hub.make_topics()
    log = release_log()
    hub.write([entries[:WAS_THERE] for entries in log])
    log = [[*e[:WAS_THERE], *e[WAS_THERE - 20 : WAS_THERE], *e[WAS_THERE:]] for e in log]
    hub.write([entries[WAS_THERE:] for entries in log])
    run = hub.run("--processes", processes)
    assert run.returncode == 0, run.stderr[-3_000:]
    for name in ("driver", "vehicle_type"):
        expected = batch_answer(log, BY_NAME[name], hub.settings)
        found = hub.windows(BY_NAME[name])
        # Windows that were sent and did not change since are in a topic that was deleted.
        assert 0 < found.height < expected.height
        kept = expected.join(found, on=["id", "window_start"], how="semi", maintain_order="left")
        unknown = ["last_start_time", *(each.name for each in NULLABLE)]
        assert_frame_equal(found.drop(unknown), kept.drop(unknown))
        # What that release did not have is unknown in windows that were open then.
        for each in NULLABLE:
            equal = found[each.name].eq(kept[each.name])
            assert equal.fill_null(value=True).all()
            assert equal.any()
        # That release stored the earliest start only, which is used for both until the next trip.
        last = found["last_start_time"]
        assert (last >= found["start_time"]).all()
        assert (last <= kept["last_start_time"]).all()
        assert release == "release_0_1" or last.equals(kept["last_start_time"])
        first_new = min(entries[WAS_THERE + 20].time for entries in log)
        new = expected.filter(expected["window_start"] >= first_new)
        assert new.join(found, on=new.columns, how="anti").is_empty()
    states = stored_states(hub.recovery, SOURCE)
    assert {state["version"] for state in states.values()} == {2}
