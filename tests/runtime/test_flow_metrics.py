"""The metrics of a process, and its status file."""

import json
from pathlib import Path

import pytest

from mobility.status import MessageCounts
from runtime.flow_metrics import FlowMetrics, PartitionMetrics
from tests.strategies import NOON


def test_the_status_sums_up_the_partitions() -> None:
    """Counts and lags are added; the watermark is the minimum of the active partitions."""
    sums = FlowMetrics(process=3, clock=lambda: 12.5, windows_sent=7)
    one, two = MessageCounts(10, 5, 1, 2, 1, 1), MessageCounts(1, 1, 0, 0, 0, 0)
    sums.partitions[10] = PartitionMetrics(NOON - 2, "behind", 4, one)
    sums.partitions[2] = PartitionMetrics(NOON - 1, "caught_up", 1, two)
    sums.partitions[3] = PartitionMetrics(5, "idle")
    status = sums.status()
    assert (status["process"], status["at"], status["windows_out"]) == (3, 12_500, 7)
    assert (status["watermark"], status["lag"]) == (NOON - 2, 5)
    names = ("read", "counted", "late", "dead", "duplicates", "punctuations")
    assert [status[name] for name in names] == [11, 6, 1, 2, 1, 1]
    assert list(status["partitions"]) == ["2", "3", "10"]  # type: ignore[call-overload]  # a dict
    sums.partitions[2].watermark = None
    assert sums.status()["watermark"] is None


def test_the_status_file_is_whole_and_at_most_once_a_second(tmp_path: Path) -> None:
    """A reader never reads an incomplete record."""
    now = [100.0]
    published = FlowMetrics(process=1, status_folder=tmp_path, clock=lambda: now[0])
    path = tmp_path / "flow-1.json"
    published.write_status_file()
    published.windows_sent = 1
    now[0] += 0.9
    published.write_status_file()
    assert json.loads(path.read_text())["windows_out"] == 0
    now[0] += 0.1
    published.write_status_file()
    assert json.loads(path.read_text())["windows_out"] == 1
    published.windows_sent = 2
    published.write_status_file(now=True)
    assert json.loads(path.read_text())["windows_out"] == 2
    assert list(tmp_path.iterdir()) == [path]


def test_what_is_delivered_is_published_at_once(tmp_path: Path) -> None:
    """By entity and shard, at each change: after the last snapshot there is no further write."""
    published = FlowMetrics(status_folder=tmp_path, clock=lambda: 100.0)
    published.write_status_file()
    published.record_delivered({("driver", 0): NOON, ("h3", 1): NOON - 1})
    path = tmp_path / "flow-0.json"
    delivered = json.loads(path.read_text())["delivered"]
    assert delivered["driver"] == {"0": NOON}
    assert delivered["h3"] == {"1": NOON - 1}
    path.unlink()
    published.record_delivered({("driver", 0): NOON})
    assert not path.exists()


def test_a_status_folder_that_cannot_be_written_is_one_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The flow does not need it, and runs on."""
    blocked = tmp_path / "file"
    blocked.touch()
    metrics = FlowMetrics(status_folder=blocked / "status")
    for _ in range(3):
        metrics.write_status_file(now=True)
    (record,) = caplog.records
    assert "MOBILITY_STATUS_DIR" in record.getMessage()
    blocked.unlink()
    metrics.write_status_file(now=True)
    assert (blocked / "status" / "flow-0.json").exists()
