"""The random columns of the sample data."""

import hashlib

from data.random_columns import RandomColumns

MASK = 2**64 - 1


def splitmix64(counter: int, start: int) -> int:
    """Return a value, computed with Python integers."""
    mixed = (counter * 0x9E3779B97F4A7C15 + start) & MASK
    mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & MASK
    return mixed ^ (mixed >> 31)


def test_bits_are_splitmix64() -> None:
    """The generator is the published one, with wrapping arithmetic."""
    start = int.from_bytes(hashlib.sha256(b"7/name").digest()[:8], "big")
    expected = [splitmix64(counter, start) for counter in range(1_000)]
    assert RandomColumns(7, 1_000).bits("name").to_list() == expected


def test_values_are_pinned() -> None:
    """They never change."""
    columns = RandomColumns(1, 2)
    assert columns.bits("a").to_list() == [6435556753155335914, 12785155803557834318]
    assert columns.log_normal("a", 0.5).to_list() == [0.8509648368737628, 1.1188537675846233]


def test_columns_differ_by_name_and_seed() -> None:
    """No two columns share a sequence."""
    columns = RandomColumns(1, 100)
    assert columns.bits("a").to_list() != columns.bits("b").to_list()
    assert columns.bits("a").to_list() != RandomColumns(2, 100).bits("a").to_list()


def test_a_longer_column_begins_like_a_shorter_one() -> None:
    """A value depends on its row number and not on the number of rows."""
    assert (
        RandomColumns(1, 1_000).uniform("a")[:10].to_list()
        == RandomColumns(1, 10).uniform("a").to_list()
    )


def test_uniform_is_flat_in_the_unit_interval() -> None:
    """Each tenth of [0, 1) has a tenth of the values."""
    values = RandomColumns(3, 100_000).uniform("a")
    assert 0 <= values.min() < values.max() < 1  # type: ignore[operator]
    counts = (values * 10).floor().value_counts()["count"]
    assert counts.len() == 10
    assert all(abs(count - 10_000) < 400 for count in counts)


def test_normal_has_mean_zero_and_deviation_one() -> None:
    """The sum of eight values is standardised."""
    values = RandomColumns(3, 100_000).normal("a")
    mean, deviation = values.mean(), values.std()
    assert isinstance(mean, float)
    assert isinstance(deviation, float)
    assert abs(mean) < 0.02
    assert abs(deviation - 1) < 0.02


def test_log_normal_has_median_one_and_a_long_tail() -> None:
    """Some values are many times the median."""
    values = RandomColumns(3, 100_000).log_normal("a", spread=0.8)
    assert abs(values.median() - 1) < 0.02  # type: ignore[operator]
    assert values.quantile(0.999) > 8  # type: ignore[operator]
    assert values.min() > 0  # type: ignore[operator]


def test_weighted_values_follow_the_weights() -> None:
    """A weight of zero never occurs, a triple one three times as often."""
    counts = dict(RandomColumns(3, 40_000).weighted("a", [1, 0, 3]).value_counts().iter_rows())
    assert set(counts) == {0, 2}
    assert abs(counts[2] / counts[0] - 3) < 0.15
