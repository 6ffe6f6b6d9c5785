"""Decoding of the topics that the flow writes."""

from typing import Final

import polars as pl
import pytest

from audit import topics
from audit.validation import LogMessage
from audit.window_sample import keep_highest_versions
from mobility.entities import BY_NAME
from mobility.measures import NULLABLE

WINDOW: Final = (
    b'{"driver_id":"d\\"total_revenue\\":1,","window_start":"2025-01-01T00:00:00Z",'
    b'"window_end":"2025-01-01T00:05:00Z","trip_count":3,"avg_duration":2.5,'
    b'"total_duration":7.5,"total_distance":9007199254.740993,"total_revenue":-1,'
    b'"start_time":"2025-01-01T00:00:00.250Z","last_start_time":"2025-01-01T00:00:01Z",'
    b'"pane":"early","generation":0}'
)


def test_windows_are_decoded() -> None:
    """Totals keep every digit, and an id that looks like a field is not taken for one."""
    row = topics.decode_windows([WINDOW], BY_NAME["driver"]).row(0, named=True)
    assert row == {
        **{each.name: None for each in NULLABLE},
        "entity": "driver",
        "id": 'd"total_revenue":1,',
        "window_start": 1_735_689_600_000,
        "window_end": 1_735_689_900_000,
        "generation": 0,
        "trip_count": 3,
        "distance_count": 3,
        "revenue_count": 3,
        "total_duration": 7_500_000,
        "total_distance": 9_007_199_254_740_993,
        "total_revenue": -1_000_000,
        "start_time": 1_735_689_600_250,
        "last_start_time": 1_735_689_601_000,
        "avg_duration": 2.5,
    }


def test_a_field_that_is_absent_is_null() -> None:
    """A missing field becomes null, and so a difference."""
    value = WINDOW.replace(b'"total_duration":7.5,', b"").replace(b'"trip_count":3', b'"n":3')
    row = topics.decode_windows([value], BY_NAME["driver"]).row(0, named=True)
    assert (row["total_duration"], row["trip_count"]) == (None, None)


def test_a_message_of_an_earlier_release_has_one_start() -> None:
    """It has the earliest start only, which stands for the latest too."""
    value = WINDOW.replace(b'"last_start_time":"2025-01-01T00:00:01Z",', b"")
    row = topics.decode_windows([value], BY_NAME["driver"]).row(0, named=True)
    assert row["last_start_time"] == row["start_time"] == 1_735_689_600_250


def test_invalid_json_is_an_error() -> None:
    """Such a message is not skipped."""
    with pytest.raises(pl.exceptions.ComputeError):
        topics.decode_windows([WINDOW, b"{"], BY_NAME["driver"])


def test_the_highest_version_counts() -> None:
    """Of a window the highest generation, then trip count, then the last message is kept."""
    windows = pl.DataFrame(
        {
            "entity": "driver",
            "id": ["a", "a", "a", "b", "b", "c", "c"],
            "window_start": [0, 0, 0, 0, 5, 0, 0],
            "generation": [0, 1, 0, 0, 0, 0, 0],
            "trip_count": [9, 2, 10, 1, 1, 4, 4],
            "mark": [1, 2, 3, 4, 5, 6, 7],
        }
    )
    assert keep_highest_versions(windows)["mark"].sort().to_list() == [2, 4, 5, 7]


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (
            [("error", b"not_json"), ("topic", b"t"), ("partition", b"3"), ("offset", b"17")],
            ("t", 3, 17, "not_json", b"{"),
        ),
        ([("partition", b"x"), ("offset", None)], (None, None, None, None, b"{")),
        ([], (None, None, None, None, b"{")),
    ],
)
def test_positions_are_headers(
    headers: list[tuple[str, bytes | None]], expected: tuple[object, ...]
) -> None:
    """A late or dead trip has its source position; a missing header becomes None."""
    assert topics.source_position(LogMessage(0, 5, 0, b"{", headers)) == expected


def test_a_replay_marker_is_not_a_dead_letter() -> None:
    """A dead letter of a tombstone has no value either, but other headers."""
    dead_letter = [("topic", b"t"), ("partition", b"1"), ("offset", b"2"), ("error", b"tombstone")]
    assert not topics.is_replay_marker(LogMessage(0, 5, 0, None, dead_letter))
    assert topics.is_replay_marker(
        LogMessage(0, 6, 0, None, [("replayed", b"1:2"), ("topic", b"t")])
    )
