"""A position is new once, wherever the set keeps it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corrections import position_set
from corrections.position_set import PositionSet
from mobility.rejected_messages import SourcePosition

positions = st.builds(
    SourcePosition, st.integers(0, 3), st.integers(0, 40) | st.integers(0, 10**14 - 1)
)


@given(st.lists(st.lists(positions, max_size=20), max_size=10), st.integers(0, 12))
def test_each_position_is_new_once(batches: list[list[SourcePosition]], merge_from: int) -> None:
    """Whether it is among the recent ones or merged."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(position_set, "_MERGE_FROM", merge_from)
        found, known = PositionSet(), set[SourcePosition]()
        for batch in batches:
            expected = []
            for position in batch:
                expected.append(position not in known)
                known.add(position)
            assert found.add(batch) == expected
