"""The state file of a replay."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from producer.batches import FilePosition
from producer.state import ReplaySource, ReplayState, ReplayStateError, read_state, write_state

SOURCE = ReplaySource(
    rows=3,
    first=10,
    last=20,
    event_time="start",
    as_is=False,
    rebased=True,
    topic="trips_stream",
    cluster="abc",
)
STATE = ReplayState(SOURCE, shift=86_400_000, position=FilePosition(loop=2, row=1))


def test_what_was_written_is_read(tmp_path: Path) -> None:
    """Shift and position are the last written ones, and no temporary file is left."""
    path = tmp_path / "deep" / "state.json"
    write_state(path, replace(STATE, position=FilePosition(0, 0)))
    write_state(path, STATE)
    assert read_state(path, SOURCE) == STATE
    assert list(path.parent.iterdir()) == [path]


def test_offsets_are_those_of_partitions(tmp_path: Path) -> None:
    """JSON has no numbers as names; a file of release 0.1 has no offsets."""
    path = tmp_path / "state.json"
    state = replace(STATE, ends={0: 17, 3: 0})
    write_state(path, state)
    assert read_state(path, SOURCE) == state
    old = {name: held for name, held in asdict(STATE).items() if name != "ends"}
    path.write_text(json.dumps(old))
    assert read_state(path, SOURCE) == STATE


def test_without_a_file_there_is_no_state(tmp_path: Path) -> None:
    """The first start begins at the beginning."""
    assert read_state(tmp_path / "state.json", SOURCE) is None


def test_the_state_of_another_replay_is_refused(tmp_path: Path) -> None:
    """Positions in one file mean nothing in another; the message has the difference."""
    path = tmp_path / "state.json"
    write_state(path, STATE)
    with pytest.raises(ReplayStateError, match=r"\(rows was 3 and is 4\): remove it to start from"):
        read_state(path, replace(SOURCE, rows=4))


@pytest.mark.parametrize("text", ["", "[]", "{", '{"shift": 1}', '{"source": {"rows": 1}}'])
def test_an_invalid_file_is_refused_with_the_remedy(tmp_path: Path, text: str) -> None:
    """It is not ignored: a start from the beginning would send everything twice."""
    path = tmp_path / "state.json"
    path.write_text(text)
    with pytest.raises(ReplayStateError, match="remove it to start from the beginning"):
        read_state(path, SOURCE)
