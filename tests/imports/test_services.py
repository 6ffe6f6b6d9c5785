"""`just import` beside a live feed, on real services."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient
from polars.testing import assert_frame_equal

from audit.stores import read_postgres_windows
from imports.command import main
from imports.flow_progress import read_ends
from mobility.records import PARTIAL_SCHEMA
from mobility.settings import to_environ
from mobility.topics import trips_topic
from tests.backfill import reference
from tests.backfill.conftest import stored
from tests.dataflows.conftest import ROOT, Hub, hub
from tests.strategies import MINUTE, NOON, Entry
from tests.waiting import DEADLINE, until

__all__ = ["hub", "stored"]

pytestmark = pytest.mark.services

DAY = 1_440 * MINUTE


def trips(first: int, number: int, name: str) -> list[Entry]:
    """Return a trip every five minutes from an event time on, of drivers in all partitions."""
    return [
        Entry(first + at * 5 * MINUTE, f"{name}{at}", f"d{at % 9}", "car", at + 1)
        for at in range(number)
    ]


def ndjson(path: Path, entries: list[Entry]) -> Path:
    """Write trips to a file."""
    path.write_bytes(b"\n".join(entry.value or b"" for entry in entries))
    return path


def punctuations(hub: Hub) -> list[object]:
    """Return the positions of all punctuations in the log."""
    messages = hub.messages("trips_stream")
    return [(each.partition(), each.offset()) for each in messages if each.value() is None]


def test_beside_a_live_feed_windows_are_waited_for_and_nothing_is_punctuated(
    stored: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One partition of the feed is behind: some trips are late, others of their windows are not."""
    for name, value in to_environ(stored.settings).items():
        monkeypatch.setenv(name, value)
    live = [trips(NOON, 6, "a"), trips(NOON, 6, "b"), trips(NOON - 4 * DAY, 6, "c")]
    stored.write(live)
    stored.start()
    before = punctuations(stored)
    imported = trips(NOON - 2 * DAY, 36, "i")
    file = ndjson(tmp_path / "trips.ndjson", imported)
    output = tmp_path / "output"
    command = ["--folder", str(tmp_path / "state"), str(file)]
    with output.open("wb") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "imports", *command],
            cwd=ROOT,
            env=stored.environ(),
            stdout=errors,
            stderr=errors,
        )
    until(
        lambda: "Waiting for that" in output.read_text() or process.poll() is not None,
        "an import that waits",
    )
    assert process.poll() is None, output.read_text()
    assert punctuations(stored) == before
    live[2] += trips(NOON, 6, "d")
    stored.write([[], [], live[2][6:]])
    assert process.wait(DEADLINE) == 0, output.read_text()
    late = re.search(r"with those of other senders: (\d+) late", output.read_text())
    assert late is not None
    assert 0 < int(late[1]) < len(imported)
    assert punctuations(stored) == before

    counted = [entry for entries in (*live, imported) for entry in entries]
    expected = reference.windows(counted, "driver", stored.settings)
    older = expected.filter(expected["window_start"] < NOON - DAY)
    found = read_postgres_windows(stored.settings).filter(entity="driver")
    ours = found.select(PARTIAL_SCHEMA.names()).sort("id", "window_start")
    assert_frame_equal(ours.filter(ours["window_start"] < NOON - DAY), older)

    ends = read_ends(stored.settings)
    assert main(command) == 0
    assert "the log has all of these files" in capsys.readouterr().err
    assert read_ends(stored.settings) == ends


def test_files_from_before_what_retention_has_cut_are_refused(
    stored: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before anything is sent: their windows could not be recounted."""
    for name, value in to_environ(stored.settings).items():
        monkeypatch.setenv(name, value)
    stored.write([trips(NOON, 6, "a"), [], []])
    topic = trips_topic(stored.settings)
    admin = AdminClient({"bootstrap.servers": os.environ["MOBILITY_KAFKA"]})
    for done in admin.delete_records([TopicPartition(topic, 0, 3)]).values():
        done.result()
    ends = read_ends(stored.settings)
    file = ndjson(tmp_path / "trips.ndjson", trips(NOON - 2 * DAY, 6, "i"))
    assert main(["--folder", str(tmp_path / "state"), str(file)]) == 2
    printed = capsys.readouterr().err
    assert f"{topic} no longer covers 2024-12-30T12:00:00Z to 2024-12-30T12:30:00Z" in printed
    assert "partition 0 begins at offset 3" in printed
    assert read_ends(stored.settings) == ends
