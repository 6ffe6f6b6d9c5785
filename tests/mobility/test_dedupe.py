"""The dedupe state equals a set of keys for each bucket."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mobility import dedupe
from mobility.dedupe import KEY_SCHEMA, DedupeState

Keys = list[tuple[int, int]]

# A key includes its window, so none is in two buckets.
keys = st.tuples(st.integers(0, 5), st.integers(0, 30)).map(
    lambda key: (key[0], 100 * key[0] + key[1])
)


@pytest.fixture(autouse=True)
def short_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Treat a few keys as many."""
    monkeypatch.setattr(dedupe, "_SMALL", 2)


def frame(batch: Keys) -> pl.DataFrame:
    """Return keys with their buckets."""
    return pl.DataFrame(batch, schema=KEY_SCHEMA, orient="row")


def held(state: DedupeState) -> Keys:
    """Return the keys of a state."""
    return sorted(state.to_frame().rows())


@given(st.lists(st.tuples(st.lists(keys, max_size=40), st.integers(0, 2), st.booleans())))
def test_it_is_a_set_of_keys(steps: list[tuple[Keys, int, bool]]) -> None:
    """Batches are added, buckets are dropped, and the state is stored and resumed at times."""
    state, model, first = DedupeState(), set[tuple[int, int]](), 0
    for batch, later, is_resumed in steps:
        first += later
        added = state.add(frame(batch), first)
        assert sorted(added.known) == sorted(key for _, key in model & set(batch))
        assert added.distinct == len(set(batch))
        model = {key for key in model | set(batch) if key[0] >= first}
        state = DedupeState.resume(added.state.snapshot()) if is_resumed else added.state
        assert held(state) == sorted(model)
        assert len(state) == len(model)


def test_a_state_is_not_changed_by_what_is_added() -> None:
    """An earlier state stays valid."""
    before = DedupeState().add(frame([(0, 1), (1, 100)]), 0).state
    before.add(frame([(0, 2), (1, 100)]), 1)
    assert held(before) == [(0, 1), (1, 100)]


def test_there_are_few_runs() -> None:
    """A thousand batches of one key leave less than ten runs: each is twice as long as the next."""
    state = DedupeState()
    for key in range(1_000):
        state = state.add(frame([(0, key)]), 0).state
    assert len(state) == 1_000
    assert len(state.buckets[0]) < 10


def test_no_bucket_is_kept_empty() -> None:
    """A batch of known keys only adds no bucket."""
    state = DedupeState().add(frame([(0, 1)]), 0).state
    again = state.add(frame([(0, 1)]), 0)
    assert (held(again.state), again.known.to_list()) == ([(0, 1)], [1])
    assert state.add(frame([]), 1).state.buckets == {}
