"""Positions are met for the first time once, however they are kept."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corrections import seen
from corrections.letters import Position
from corrections.seen import Seen

positions = st.builds(Position, st.integers(0, 3), st.integers(0, 40) | st.integers(0, 10**14 - 1))


@given(st.lists(st.lists(positions, max_size=20), max_size=10), st.integers(0, 12))
def test_each_is_fresh_once(batches: list[list[Position]], few: int) -> None:
    """Whether they are among the newest or packed away."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(seen, "_FEW", few)
        memory, known = Seen(), set[Position]()
        for batch in batches:
            expected = []
            for position in batch:
                expected.append(position not in known)
                known.add(position)
            assert memory.fresh(batch) == expected
