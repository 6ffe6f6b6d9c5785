"""How long recorded tracks are."""

import math

import polars as pl
import pytest

from producer.formats import tracks
from producer.formats.tracks import track_lengths

KM_PER_DEGREE = 6_371.008_8 * math.pi / 180


@pytest.mark.parametrize(
    ("track", "length"),
    [
        ("[[0,0],[0,1],[0,3]]", 3 * KM_PER_DEGREE),
        ("[[0,0],[1,0],[0,0]]", 2 * KM_PER_DEGREE),
        ("[[0,60],[0.001,60]]", 0.001 * KM_PER_DEGREE / 2),
        ("[[179.5,0],[-179.5,0]]", KM_PER_DEGREE),
        ("[ [0, 0],\n [0, 1] ]", KM_PER_DEGREE),
        ("[[-8.5,41.1]]", 0),
        ("[[-8.5,41.1],[-8.5,41.1]]", 0),
        ("[]", None),
        ("", None),
        (None, None),
        ("[[0,0],[0,x]]", None),
        ("[[0,0],[0,1],[0", None),
        ("no track", None),
    ],
)
def test_lengths(track: str | None, length: float | None) -> None:
    """In degrees along meridians and the equator; what can't be read in a track leaves it none."""
    found = track_lengths(pl.Series([track], dtype=pl.String)).to_list()
    assert found == [length if length is None else pytest.approx(length)]


@pytest.mark.parametrize("size", [1, 2, 100])
def test_tracks_of_any_number_are_apart(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    """No line leads from the end of one to the start of the next."""
    monkeypatch.setattr(tracks, "_TRACKS_PER_PIECE", size)
    found = track_lengths(pl.Series(["[[0,0],[0,1]]", None, "[[0,2],[0,4]]"]))
    assert found.to_list() == [pytest.approx(KM_PER_DEGREE), None, pytest.approx(2 * KM_PER_DEGREE)]
    assert track_lengths(pl.Series([], dtype=pl.String)).to_list() == []
