"""Numbers of distinct texts: the same bytes in any order of merging, exact while they are few."""

import hashlib
import math

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mobility.sketches import distinct
from mobility.sketches.records import RECORDS
from tests.strategies import batches

few = st.lists(st.none() | st.text(max_size=3), max_size=40)


def records(texts: list[str | None]) -> pl.Series:
    """Return the records of texts."""
    frame = pl.DataFrame({"text": texts}, schema={"text": pl.String})
    return frame.select(distinct.record_of("text").drop_nulls()).to_series()


def encoded(found: pl.Series) -> bytes:
    """Return the bytes of the set of these records."""
    (data,) = distinct.to_bytes(distinct.canonical(pl.Series([found], dtype=RECORDS)))
    assert isinstance(data, bytes)
    return data


def numbered(start: int, stop: int) -> list[str | None]:
    """Return different texts, a range of an endless list."""
    return [f"passenger-{number}" for number in range(start, stop)]


@given(st.data(), few)
def test_few_texts_are_counted_exactly(data: st.DataObject, texts: list[str | None]) -> None:
    """From any batches in any order, each of them perhaps twice."""
    parts = data.draw(st.permutations([encoded(records(x)) for x in data.draw(batches(texts))]))
    again = data.draw(st.lists(st.sampled_from(parts), max_size=3)) if parts else []
    union = distinct.united([*parts, *again])
    assert encoded(union) == encoded(records(texts))
    assert distinct.count(union) == len({*texts} - {None})


@settings(max_examples=12)
@given(st.data(), st.sampled_from([999, 1_000, 1_001, 2_500]))
def test_the_form_depends_on_the_set_alone(data: st.DataObject, size: int) -> None:
    """A merge is commutative, associative and idempotent, also across the change of the form."""
    cut, overlap = data.draw(st.integers(0, size)), data.draw(st.integers(0, size))
    one, two = numbered(0, cut), numbered(min(cut, overlap), size)
    whole = encoded(records(numbered(0, size)))
    a, b, c = (encoded(records(texts)) for texts in (one, two, numbered(0, size // 2)))
    assert encoded(distinct.united([a, b])) == encoded(distinct.united([b, a])) == whole
    left = encoded(distinct.united([encoded(distinct.united([a, b])), c]))
    right = encoded(distinct.united([a, encoded(distinct.united([b, c]))]))
    assert left == right == encoded(distinct.united([whole, whole])) == whole
    assert len(whole) == (8 * size if size < distinct.EXACT else 4_097)


def test_hashes_of_several_sets_may_come_as_one() -> None:
    """So a database concatenates those of many windows."""
    a, b = encoded(records(numbered(0, 700))), encoded(records(numbered(500, 999)))
    assert distinct.united([a + b]).to_list() == distinct.united([a, b]).to_list()
    assert distinct.count(distinct.united([a + b])) == 999


@pytest.mark.parametrize("size", [0, 1, 2, 500, 999])
def test_below_a_thousand_numbers_are_exact(size: int) -> None:
    """Each text counts once, however often it comes."""
    assert distinct.count(distinct.united([encoded(records(numbered(0, size) * 3))])) == size


@pytest.mark.parametrize("size", [1_000, 2_000, 10_000, 30_000])
def test_beyond_that_the_standard_error_is_two_per_cent(size: int) -> None:
    """Over 30 sets without a text in common; and there is hardly any bias."""
    sets = [records(numbered(start, start + size)) for start in range(0, 30 * size, size)]
    errors = [distinct.count(distinct.united([encoded(each)])) / size - 1 for each in sets]
    assert math.sqrt(sum(error**2 for error in errors) / len(errors)) <= 0.02
    assert abs(sum(errors) / len(errors)) <= 0.01


@given(st.lists(st.none() | st.sampled_from([0, 1, 5, 999, 1_000, 1_700]), max_size=4))
def test_bytes_are_read_back(sizes: list[int | None]) -> None:
    """Both forms, nothing, and what is not known, in one column."""
    lists = [None if size is None else records(numbered(0, size)) for size in sizes]
    canonical = distinct.canonical(pl.Series("x", lists, dtype=RECORDS))
    assert distinct.from_bytes(distinct.to_bytes(canonical)).to_list() == canonical.to_list()


def test_bytes_are_pinned() -> None:
    """They are stored data: another hash, or another form, would count each text twice."""
    assert encoded(records(["a", "b", None, "a"])).hex(" ", 8).split() == [
        "1643cfdfefe1dfa5",
        "31db9c4e34072a5f",
    ]
    dense = encoded(records(numbered(0, 1_000)))
    assert hashlib.sha256(dense).hexdigest()[:16] == "2283c87eb39942e7"


@settings(max_examples=12)
@given(st.data())
def test_unions_of_many_are_those_of_each(data: st.DataObject) -> None:
    """Each list of sets has a union of its own, in the order of the lists."""
    sizes = st.lists(st.sampled_from([0, 1, 5, 999, 1_000]), max_size=3)
    lists = [
        [encoded(records(numbered(0, size))) for size in each]
        for each in data.draw(st.lists(sizes, max_size=4))
    ]
    found = distinct.united_lists(pl.Series(lists, dtype=pl.List(pl.Binary())))
    unions = [distinct.united(each) if each else None for each in lists]
    assert found.to_list() == [None if each is None else each.to_list() for each in unions]
    assert distinct.counts(found).to_list() == [
        None if each is None else distinct.count(each) for each in unions
    ]
