"""The tables at the end of a replay."""

import io

import polars as pl
from rich.console import Console

from audit.differences import compare
from audit.oracle import answer, read_log
from audit.report import Outcome, show
from audit.verdicts import Message
from mobility.settings import Settings

TRIP = b'{"driver_id":"[bold]d","start_time":0,"duration_min":1,"distance_km":1,"price":1}'


def shown(found: pl.DataFrame) -> str:
    """Return what is printed for a log of three messages and one place."""
    messages = [Message(0, offset, 10**9, value) for offset, value in enumerate([TRIP, TRIP, b""])]
    expected = answer(read_log([messages], Settings()), Settings())
    place = compare("a place", expected.totals, found, keys=["id"], fields=["trip_count"])
    file = io.StringIO()
    show(Outcome(expected, [place], 0.5), Console(file=file, width=100))
    return file.getvalue()


def test_all_numbers_are_in_the_tables() -> None:
    """Trips by verdict, windows and ids by entity, differences by place, seconds and rate."""
    totals = pl.DataFrame({"id": ["[bold]d", "unknown"], "trip_count": [2, 2]})
    rows = [
        [word for word in line.replace("│", " ").split() if word]
        for line in shown(totals).splitlines()
    ]
    for row in (
        ["trips", "read", "3"],
        ["counted", "2"],
        ["dead-lettered", "1"],
        ["duplicates", "0"],
        ["seconds", "0.5"],
        ["trips/s", "6"],
        ["driver", "1", "1"],
        ["h3", "0", "0"],
        ["a", "place", "2", "0", "0", "0", "0"],
        ["0", "differences."],
    ):
        assert row in rows


def test_differences_are_shown_with_both_sides() -> None:
    """A difference names place, kind, key, what is expected and what was found, ids as they are."""
    text = shown(pl.DataFrame({"id": ["[bold]d"], "trip_count": [3]}))
    assert "a place: missing: id unknown\n    expected: trip_count 2\n    found:    nothing" in text
    assert (
        "a place: different: id [bold]d\n    expected: trip_count 2\n    found:    trip_count 3"
        in text
    )
    assert text.endswith("2 differences.\n")
