"""The random columns that the sample data is made of."""

import hashlib

from data.draws import Draws

MASK = 2**64 - 1


def splitmix64(counter: int, start: int) -> int:
    """Return a draw in plain integers."""
    mixed = (counter * 0x9E3779B97F4A7C15 + start) & MASK
    mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & MASK
    return mixed ^ (mixed >> 31)


def test_bits_are_splitmix64() -> None:
    """The columnar generator is the published one, wrapped arithmetic and all."""
    start = int.from_bytes(hashlib.sha256(b"7/name").digest()[:8], "big")
    expected = [splitmix64(counter, start) for counter in range(1_000)]
    assert Draws(7, 1_000).bits("name").to_list() == expected


def test_draws_are_pinned() -> None:
    """A draw is the same number for ever."""
    draws = Draws(1, 2)
    assert draws.bits("a").to_list() == [6435556753155335914, 12785155803557834318]
    assert draws.log_normal("a", 0.5).to_list() == [0.8509648368737628, 1.1188537675846233]


def test_columns_differ_by_name_and_seed() -> None:
    """No two columns share a sequence."""
    draws = Draws(1, 100)
    assert draws.bits("a").to_list() != draws.bits("b").to_list()
    assert draws.bits("a").to_list() != Draws(2, 100).bits("a").to_list()


def test_a_longer_column_begins_like_a_shorter_one() -> None:
    """A draw depends on its row number and not on how many there are."""
    assert Draws(1, 1_000).uniform("a")[:10].to_list() == Draws(1, 10).uniform("a").to_list()


def test_uniform_is_flat_in_the_unit_interval() -> None:
    """Each tenth of [0, 1) gets a tenth of the draws."""
    drawn = Draws(3, 100_000).uniform("a")
    assert 0 <= drawn.min() < drawn.max() < 1  # type: ignore[operator]
    counts = (drawn * 10).floor().value_counts()["count"]
    assert counts.len() == 10
    assert all(abs(count - 10_000) < 400 for count in counts)


def test_normal_has_mean_nought_and_deviation_one() -> None:
    """The sum of eight pieces is standardised rightly."""
    drawn = Draws(3, 100_000).normal("a")
    mean, deviation = drawn.mean(), drawn.std()
    assert isinstance(mean, float)
    assert isinstance(deviation, float)
    assert abs(mean) < 0.02
    assert abs(deviation - 1) < 0.02


def test_log_normal_has_median_one_and_a_long_tail() -> None:
    """A few draws are many times the usual one."""
    drawn = Draws(3, 100_000).log_normal("a", spread=0.8)
    assert abs(drawn.median() - 1) < 0.02  # type: ignore[operator]
    assert drawn.quantile(0.999) > 8  # type: ignore[operator]
    assert drawn.min() > 0  # type: ignore[operator]


def test_weighted_draws_follow_the_weights() -> None:
    """A weight of nought is never drawn, a triple one three times as often."""
    counts = dict(Draws(3, 40_000).weighted("a", [1, 0, 3]).value_counts().iter_rows())
    assert set(counts) == {0, 2}
    assert abs(counts[2] / counts[0] - 3) < 0.15
