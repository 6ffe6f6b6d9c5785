"""The producer's `--final` and the flow, both by their commands: the end of a file is the end."""

import json
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest

from mobility.topics import WATERMARK_HEADER
from tests.dataflows.conftest import PARTITIONS, ROOT, Hub
from tests.waiting import DEADLINE

pytestmark = pytest.mark.services


def produce(hub: Hub, *arguments: object) -> str:
    """Run the producer at full speed; return what it prints at its end."""
    run = subprocess.run(
        [sys.executable, "-m", "producer", *map(str, arguments), "--speed", "max"],
        check=False,
        cwd=ROOT,
        env=hub.environ(),
        capture_output=True,
        text=True,
        timeout=DEADLINE,
    )
    assert run.returncode == 0, run.stderr[-3_000:]
    return run.stdout


def last_panes(hub: Hub) -> dict[tuple[str, str], str]:
    """Read the log to its end; return the newest pane of each window of a vehicle type."""
    run = hub.run()
    assert run.returncode == 0, run.stderr[-3_000:]
    windows = [json.loads(each.value() or b"") for each in hub.messages("aggregated.vehicle_type")]
    return {(each["vehicle_type"], each["window_start"]): each["pane"] for each in windows}


def test_every_window_of_the_files_is_complete(hub: Hub, tmp_path: Path) -> None:
    """Also if the trips were sent by an earlier start; a third one changes nothing."""
    hub.make_topics()
    path, state = tmp_path / "trips.parquet", tmp_path / "state.json"
    pl.read_parquet(ROOT / "data" / "trips.parquet").head(3_000).write_parquet(path)
    assert "3,000 trips in " in produce(hub, path, "--state", state)
    before = last_panes(hub)
    assert "early" in before.values()
    for _ in range(2):
        said = produce(hub, path, "--state", state, "--final")
        assert said.startswith("0 trips in ")
        assert f"; {PARTITIONS} punctuations\n" in said
        assert "every window of the files is complete" in said
        after = last_panes(hub)
        assert after.keys() == before.keys()
        assert "early" not in after.values()
    assert hub.messages("trips_dlq") == []


def test_a_file_that_ends_in_the_future(hub: Hub, tmp_path: Path) -> None:
    """Its trips that are too far ahead are dead letters, and no punctuation is one."""
    hub.make_topics()
    path = tmp_path / "trips.parquet"
    now = int(time.time() * 1_000)
    starts = [now - 7_200_000, now - 3_600_000, now, now + 86_400_000]
    trips = pl.DataFrame({"start_time": starts, "vehicle_type": "car"})
    trips.with_columns(duration_min=1.0, distance_km=1.0, price=1.0).write_parquet(path)
    assert "the last windows of the files are not complete yet" in produce(hub, path, "--final")
    panes = list(last_panes(hub).values())
    assert panes == ["on_time", "on_time", "early"]
    (dead,) = hub.messages("trips_dlq")
    assert dead.value() is not None
    marks = [each for each in hub.messages("trips_stream") if each.value() is None]
    assert [mark.partition() for mark in marks] == list(range(PARTITIONS))
    for mark in marks:
        announced = int(dict(mark.headers() or [])[WATERMARK_HEADER] or b"")
        assert now <= announced <= mark.timestamp()[1]
