"""The report of a replay."""

import io
from collections import Counter

import polars as pl
from rich.console import Console

from audit.comparison import compare
from audit.oracle import run_oracle, validate_log
from audit.report import ReplayReport, print_report
from audit.validation import LogMessage
from mobility.settings import Settings
from producer.formats.reading_report import ReadingReport

TRIP = b'{"driver_id":"[bold]d","start_time":0,"duration_min":1,"distance_km":1,"price":1}'


def printed(found: pl.DataFrame) -> str:
    """Return the report for a log of three messages and one output."""
    messages = [
        LogMessage(0, offset, 10**9, value) for offset, value in enumerate([TRIP, TRIP, b""])
    ]
    expected = run_oracle(validate_log([messages], Settings()), Settings())
    comparison = compare("an output", expected.totals, found, keys=["id"], fields=["trip_count"])
    reading = ReadingReport("UTC", read=5, left_out=Counter({"no price": 2}))
    file = io.StringIO()
    print_report(ReplayReport(reading, expected, [comparison], 0.5), Console(file=file, width=100))
    return file.getvalue()


def test_all_numbers_are_in_the_tables() -> None:
    """Trips by outcome, windows and ids by entity, differences by output, seconds and rate."""
    totals = pl.DataFrame({"id": ["[bold]d", "unknown"], "trip_count": [2, 2]})
    rows = [
        [word for word in line.replace("│", " ").split() if word]
        for line in printed(totals).splitlines()
    ]
    for row in (
        ["rows", "of", "the", "files", "5"],
        ["left", "out:", "no", "price", "2"],
        ["trips", "read", "3"],
        ["counted", "2"],
        ["dead-lettered", "1"],
        ["not_json", "1"],
        ["duplicates", "0"],
        ["seconds", "0.5"],
        ["trips/s", "6"],
        ["driver", "1", "1"],
        ["h3", "0", "0"],
        ["an", "output", "2", "0", "0", "0", "0"],
        ["0", "differences."],
    ):
        assert row in rows


def test_differences_are_shown_with_both_sides() -> None:
    """A difference has output, kind, key, expected and found values; markup in ids is printed."""
    text = printed(pl.DataFrame({"id": ["[bold]d"], "trip_count": [3]}))
    assert (
        "an output: missing: id unknown\n    expected: trip_count 2\n    found:    nothing" in text
    )
    assert (
        "an output: different: id [bold]d\n    expected: trip_count 2\n    found:    trip_count 3"
        in text
    )
    assert text.endswith("2 differences.\n")
