"""What is shown while files are read."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from producer.formats.options import ReadingOptions
from producer.formats.trip_reader import open_trip_files
from producer.progress import Rate, reading_bar
from tests.producer.formats.reading import own_trips, write_csv

HEADER = "trip_id,start_time,duration_min,distance_km,price"


def test_bytes_and_rows_of_all_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They grow from batch to batch, up to the size of the decompressed files."""
    monkeypatch.setattr("producer.formats.raw_batches.ROWS_PER_BATCH", 1)
    row = "a,2025-01-06 12:00:00,1,2,3"
    first = write_csv(tmp_path / "a.csv.gz", HEADER, row, row + ",4", row)
    second, third = tmp_path / "b.parquet", tmp_path / "c.ndjson"
    own_trips(trip_id=["b", "c"]).write_parquet(second)
    own_trips(trip_id=["d", "e"]).write_ndjson(third)
    shown: list[tuple[int, int]] = []
    with open_trip_files([first, second, third], ReadingOptions()) as reader:
        size = reader.size
        for _ in reader.batches(
            reader.new_report(), on_read=lambda rows, read: shown.append((rows, read))
        ):
            pass
    text = len(f"{HEADER}\n{row}\n{row},4\n{row}\n")
    assert size == text + second.stat().st_size + third.stat().st_size
    assert shown == sorted(shown)
    assert (3, text) in shown
    assert (5, text + second.stat().st_size) in shown
    assert shown[-1] == (7, size)


def test_the_bar_on_a_terminal() -> None:
    """Share of bytes, rows and the time left."""
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=120)
    with reading_bar(console, 200) as bar:
        bar.show(1_234, 50)
    assert "reading the files" in screen.getvalue()
    assert "25 %" in screen.getvalue()
    assert "1,234 rows" in screen.getvalue()
    assert "left" in screen.getvalue()


def test_no_bar_elsewhere() -> None:
    """A log file gets nothing."""
    screen = io.StringIO()
    with reading_bar(Console(file=screen), 200) as bar:
        bar.show(1_234, 50)
        bar.stop()
    assert screen.getvalue() == ""


def test_a_rate_is_that_of_the_last_second() -> None:
    """It stays for a second, and then is that since it was counted last."""
    now = 0.0
    rate = Rate(lambda: now)
    assert rate.at(50) == 0.0
    now = 2.0
    assert rate.at(100) == 50.0
    now = 2.9
    assert rate.at(900) == 50.0
    now = 3.0
    assert rate.at(1_000) == 900.0
