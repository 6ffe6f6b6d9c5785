"""The live line: rates and lags out of the status files."""

import json
from pathlib import Path

import pytest

from stack.meter import Meter

NOW = 1_800_000_000


class Clock:
    """A clock that stands where a test puts it."""

    def __init__(self) -> None:
        self.now = float(NOW)

    def __call__(self) -> float:
        """Return the time."""
        return self.now


def report(folder: Path, at: float, process: int = 0, **changed: int | None) -> None:
    """Write what a process of the flow would."""
    record: dict[str, int | None] = {
        "process": process,
        "pid": 100 + process,
        "at": round(at * 1_000),
        "read": 0,
    }
    record |= {"counted": 0, "late": 0, "dead": 0, "duplicates": 0, "windows_out": 0, "lag": 0}
    record |= {"watermark": round(at * 1_000), **changed}
    (folder / f"flow-{process}.json").write_text(json.dumps({**record, "partitions": {}}))


def test_rates_are_differences_over_the_flows_own_time(tmp_path: Path) -> None:
    """Rates come from what was counted between two files, by the times written in them."""
    clock = Clock()
    meter = Meter(tmp_path, clock)
    report(tmp_path, NOW, read=1_000, windows_out=10)
    first = meter.read()
    assert first is not None
    assert (first.trips, first.windows) == (0, 0)
    report(tmp_path, NOW + 2, read=5_000, windows_out=30)
    clock.now += 2.5
    second = meter.read()
    assert second is not None
    assert (second.trips, second.windows) == (2_000, 10)
    assert second.behind_now == pytest.approx(0.5)
    third = meter.read()
    assert third is not None
    assert third.trips == 2_000, "the same file again must not look like a stall"


def test_processes_add_up(tmp_path: Path) -> None:
    """Rates and lags are sums over the processes; the watermark is their minimum."""
    clock = Clock()
    meter = Meter(tmp_path, clock)
    for at, read in ((NOW, 0), (NOW + 1, 100)):
        report(tmp_path, at, 0, read=read, lag=3, late=1)
        report(tmp_path, at, 1, read=2 * read, lag=4, dead=2, watermark=(NOW - 60) * 1_000)
        clock.now = at
        reading = meter.read()
    assert reading is not None
    assert (reading.trips, reading.behind_log, reading.late, reading.dead) == (300, 7, 1, 2)
    assert reading.behind_now == 61
    assert "300 trips/s" in str(reading)
    assert "watermark lag 61 s" in str(reading)


def test_a_watermark_that_one_process_lacks_is_unknown(tmp_path: Path) -> None:
    """Nobody knows the minimum until everybody has been heard."""
    report(tmp_path, NOW, 0)
    report(tmp_path, NOW, 1, watermark=None)
    reading = Meter(tmp_path, Clock()).read()
    assert reading is not None
    assert reading.behind_now is None
    assert "watermark lag unknown" in str(reading)


def test_old_files_say_nothing(tmp_path: Path) -> None:
    """A flow that has stopped writing has no rates, and clearing removes its files."""
    report(tmp_path, NOW - 60)
    meter = Meter(tmp_path, Clock())
    assert meter.read() is None
    meter.clear()
    assert list(tmp_path.iterdir()) == []


def test_the_running_audit_has_a_word(tmp_path: Path) -> None:
    """Its drift stands in the line once it has said anything; an earlier one's file goes away."""
    meter = Meter(tmp_path, Clock())
    report(tmp_path, NOW)
    assert "drift" not in str(meter.read())
    (tmp_path / "audit.json").write_text('{"drift": 1234, "rounds": 1}')
    assert str(meter.read()).endswith("  drift 1,234")
    meter.clear()
    report(tmp_path, NOW)
    assert "drift" not in str(meter.read())


def test_a_restarted_process_starts_from_nothing(tmp_path: Path) -> None:
    """Another process id means new counts: no negative rates."""
    clock = Clock()
    meter = Meter(tmp_path, clock)
    report(tmp_path, NOW, read=5_000)
    meter.read()
    report(tmp_path, NOW + 1, read=10, pid=777)
    reading = meter.read()
    assert reading is not None
    assert reading.trips == 0
