"""This release resumes a recovery folder of release 0.1, and its results are exact.

`release_0_1/recovery.tar.xz` is the folder of that release after kill -9, with MOBILITY_SHARDS=2:
140 of the 240 messages of each partition of `log.ndjson` were in the log.
"""

import json
import tarfile
from pathlib import Path

import pytest
from polars.testing import assert_frame_equal

from mobility.entities import BY_NAME
from runtime.recovery import stored_keys
from tests.dataflows.conftest import PARTITIONS, Hub
from tests.dataflows.doubles import batch_answer
from tests.strategies import Entry

pytestmark = pytest.mark.services

RELEASE = Path(__file__).parent / "release_0_1"
WAS_THERE = 140


def release_log() -> list[list[Entry]]:
    """Return the log of the folder, with the messages after it."""
    log: list[list[Entry]] = [[] for _ in range(PARTITIONS)]
    for line in (RELEASE / "log.ndjson").read_text().splitlines():
        record = json.loads(line)
        log[record.pop("partition")].append(Entry(**record))
    return log


@pytest.mark.parametrize("processes", ["1", "2"])
def test_a_folder_of_the_first_release_still_resumes(hub: Hub, processes: str) -> None:
    """Its windows get the totals of the batch answer; those that were closed are not sent again."""
    with tarfile.open(RELEASE / "recovery.tar.xz") as archive:
        archive.extractall(hub.recovery.parent, filter="data")
    assert "000" in stored_keys(hub.recovery)["mobility_hub.trips_stream"]
    hub.make_topics()
    log = release_log()
    hub.write([entries[:WAS_THERE] for entries in log])
    hub.write([entries[WAS_THERE:] for entries in log])
    run = hub.run("--processes", processes)
    assert run.returncode == 0, run.stderr[-3_000:]
    for name in ("driver", "vehicle_type"):
        expected = batch_answer(log, BY_NAME[name], hub.settings)
        found = hub.windows(BY_NAME[name])
        # Windows that were sent and did not change since are in a topic that was deleted.
        assert 0 < found.height < expected.height
        kept = expected.join(found, on=["id", "window_start"], how="semi", maintain_order="left")
        assert_frame_equal(found.drop("last_start_time"), kept.drop("last_start_time"))
        # That release stored the earliest start only, which is used for both until the next trip.
        last = found["last_start_time"]
        assert (last >= found["start_time"]).all()
        assert (last <= kept["last_start_time"]).all()
        first_new = min(entries[WAS_THERE].time for entries in log)
        new = expected.filter(expected["window_start"] >= first_new)
        assert new.join(found, on=new.columns, how="anti").is_empty()
