"""The status line: rates and lags from the status files."""

import json
from pathlib import Path

import pytest

from stack.flow_status import FlowStatusReader

NOW = 1_800_000_000


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = float(NOW)

    def __call__(self) -> float:
        """Return the time."""
        return self.now


def report(folder: Path, at: float, process: int = 0, **changed: int | None) -> None:
    """Write the status file of a process of the flow."""
    record: dict[str, int | None] = {
        "process": process,
        "pid": 100 + process,
        "at": round(at * 1_000),
        "read": 0,
    }
    record |= {"counted": 0, "late": 0, "dead": 0, "duplicates": 0, "windows_out": 0, "lag": 0}
    record |= {"watermark": round(at * 1_000), **changed}
    (folder / f"flow-{process}.json").write_text(json.dumps({**record, "partitions": {}}))


def test_rates_are_computed_from_two_files(tmp_path: Path) -> None:
    """They are the differences of counters, divided by that of the times in the files."""
    clock = Clock()
    status_reader = FlowStatusReader(tmp_path, clock)
    report(tmp_path, NOW, read=1_000, windows_out=10)
    first = status_reader.read()
    assert first is not None
    assert (first.trips, first.windows) == (0, 0)
    report(tmp_path, NOW + 2, read=5_000, windows_out=30)
    clock.now += 2.5
    second = status_reader.read()
    assert second is not None
    assert (second.trips, second.windows) == (2_000, 10)
    assert second.watermark_lag == pytest.approx(0.5)
    third = status_reader.read()
    assert third is not None
    assert third.trips == 2_000, "the same file again must not look like a stall"


def test_processes_add_up(tmp_path: Path) -> None:
    """Rates and lags are sums over the processes; the watermark is their minimum."""
    clock = Clock()
    status_reader = FlowStatusReader(tmp_path, clock)
    for at, read in ((NOW, 0), (NOW + 1, 100)):
        report(tmp_path, at, 0, read=read, lag=3, late=1)
        report(tmp_path, at, 1, read=2 * read, lag=4, dead=2, watermark=(NOW - 60) * 1_000)
        clock.now = at
        summary = status_reader.read()
    assert summary is not None
    assert (summary.trips, summary.log_lag, summary.late, summary.dead) == (300, 7, 1, 2)
    assert summary.watermark_lag == 61
    assert "300 trips/s" in str(summary)
    assert "watermark lag 61 s" in str(summary)


def test_a_watermark_that_one_process_lacks_is_unknown(tmp_path: Path) -> None:
    """The minimum is known once every process has a watermark."""
    report(tmp_path, NOW, 0)
    report(tmp_path, NOW, 1, watermark=None)
    summary = FlowStatusReader(tmp_path, Clock()).read()
    assert summary is not None
    assert summary.watermark_lag is None
    assert "watermark unknown" in str(summary)


def test_old_files_are_ignored(tmp_path: Path) -> None:
    """A flow that does not write any more has no rates; `clear` removes its files."""
    report(tmp_path, NOW - 60)
    status_reader = FlowStatusReader(tmp_path, Clock())
    assert status_reader.read() is None
    status_reader.clear()
    assert list(tmp_path.iterdir()) == []


def test_of_an_old_file_the_time_reached_is_shown(tmp_path: Path) -> None:
    """Its trips are from when they are from: a lag of days says nothing."""
    status_reader = FlowStatusReader(tmp_path, Clock())
    report(tmp_path, NOW, watermark=(NOW - 90_000) * 1_000)
    assert "watermark lag 90,000 s  " in str(status_reader.read())
    report(tmp_path, NOW, watermark=1_612_137_600_000)
    assert "watermark 2021-02-01 00:00 UTC  " in str(status_reader.read())


def test_the_drift_of_the_running_audit_is_shown(tmp_path: Path) -> None:
    """After its first round; the file of an earlier audit is removed."""
    status_reader = FlowStatusReader(tmp_path, Clock())
    report(tmp_path, NOW)
    assert "drift" not in str(status_reader.read())
    (tmp_path / "audit.json").write_text('{"drift": 1234, "rounds": 1}')
    assert str(status_reader.read()).endswith("  drift 1,234")
    status_reader.clear()
    report(tmp_path, NOW)
    assert "drift" not in str(status_reader.read())


def test_a_restarted_process_starts_from_zero(tmp_path: Path) -> None:
    """Another process id has new counters: rates are never negative."""
    clock = Clock()
    status_reader = FlowStatusReader(tmp_path, clock)
    report(tmp_path, NOW, read=5_000)
    status_reader.read()
    report(tmp_path, NOW + 1, read=10, pid=777)
    summary = status_reader.read()
    assert summary is not None
    assert summary.trips == 0
