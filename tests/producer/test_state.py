"""What a replay remembers."""

from dataclasses import replace
from pathlib import Path

import pytest

from producer.batches import Position
from producer.state import Source, State, StateError, read_state, write_state

SOURCE = Source(
    rows=3,
    first=10,
    last=20,
    event_time="start",
    as_is=False,
    rebased=True,
    topic="trips_stream",
    cluster="abc",
)
STATE = State(SOURCE, shift=86_400_000, position=Position(loop=2, row=1))


def test_what_was_written_is_read(tmp_path: Path) -> None:
    """Shift and position come back, the newest ones, and no draft is left."""
    path = tmp_path / "deep" / "state.json"
    write_state(path, replace(STATE, position=Position(0, 0)))
    write_state(path, STATE)
    assert read_state(path, SOURCE) == STATE
    assert list(path.parent.iterdir()) == [path]


def test_no_file_is_a_fresh_start(tmp_path: Path) -> None:
    """The first start finds nothing."""
    assert read_state(tmp_path / "state.json", SOURCE) is None


def test_a_state_of_another_replay_is_refused_with_the_difference(tmp_path: Path) -> None:
    """Positions in one file mean nothing in another."""
    path = tmp_path / "state.json"
    write_state(path, STATE)
    with pytest.raises(StateError, match=r"\(rows was 3 and is 4\): remove it to start afresh"):
        read_state(path, replace(SOURCE, rows=4))


@pytest.mark.parametrize("text", ["", "[]", "{", '{"shift": 1}', '{"source": {"rows": 1}}'])
def test_a_broken_file_is_refused_with_the_remedy(tmp_path: Path, text: str) -> None:
    """It is never taken for a fresh start, which would send everything twice."""
    path = tmp_path / "state.json"
    path.write_text(text)
    with pytest.raises(StateError, match="remove it to start afresh"):
        read_state(path, SOURCE)
