"""Lateness is a function of the log: it does not depend on the batches."""

from collections.abc import Iterable

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mobility.event_time import Classified, EventTimeState, LatenessRules, classify
from mobility.settings import Settings
from tests.strategies import MINUTE, NOON, Entry, batches, partitions

RULES = LatenessRules.of(Settings())
HORIZON = RULES.window + RULES.allowed_lateness + RULES.out_of_orderness

Read = tuple[list[int], list[int], int, EventTimeState]

Row = tuple[int, Entry]


def frames(rows: list[Row]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return trips and punctuations, each with its row."""
    trips = [(r, e.trip_id, e.time) for r, e in rows if not e.punctuation]
    marks = [(r, e.time) for r, e in rows if e.punctuation]
    times = {"row": pl.Int64, "event_time": pl.Int64}
    schema = {"row": pl.Int64, "trip_id": pl.String, "event_time": pl.Int64}
    return (
        pl.DataFrame(trips, schema=schema, orient="row"),
        pl.DataFrame(marks, schema=times, orient="row"),
    )


def read(parts: Iterable[list[Row]], rules: LatenessRules = RULES) -> Read:
    """Classify batch after batch; return counted and late rows, duplicates, and the state."""
    state, counted, late, duplicates = EventTimeState(), [], [], 0
    for part in parts:
        judged = classify(*frames(part), state, rules)
        state = judged.state
        counted += judged.counted["row"].to_list()
        late += judged.late["row"].to_list()
        duplicates += judged.duplicates
    return counted, late, duplicates, state


def classify_one_by_one(
    entries: list[Entry], rules: LatenessRules = RULES
) -> tuple[list[int], list[int], int]:
    """Classify trip after trip in plain Python."""
    horizon = rules.window + rules.allowed_lateness + rules.out_of_orderness
    latest, seen, counted, late, duplicates = -(10**18), set(), [], [], 0
    for row, entry in enumerate(entries):
        latest = max(latest, entry.time)
        start = entry.time // rules.window * rules.window
        if entry.punctuation:
            continue
        if start + horizon < latest:
            late.append(row)
        elif entry.trip_id is not None and (entry.trip_id, start) in seen:
            duplicates += 1
        else:
            seen.add((entry.trip_id, start))
            counted.append(row)
    return counted, late, duplicates


@given(st.data(), partitions())
def test_the_result_does_not_depend_on_the_batches(
    data: st.DataObject, entries: list[Entry]
) -> None:
    """Counted and late trips, duplicates and state."""
    rows = list(enumerate(entries))
    *whole, state = read([rows])
    *split, split_state = read(data.draw(batches(rows)))
    assert split == whole == list(classify_one_by_one(entries))
    assert split_state.latest == state.latest
    split_keys, keys = (p.dedupe_state.to_frame() for p in (split_state, state))
    assert split_keys.sort("key").equals(keys.sort("key"))


@pytest.mark.parametrize(("beyond", "is_late"), [(0, False), (1, True)])
@pytest.mark.parametrize("punctuated", [False, True])
@pytest.mark.parametrize("split", [False, True])
def test_a_trip_is_late_when_its_window_ended_too_long_ago(
    beyond: int, *, is_late: bool, punctuated: bool, split: bool
) -> None:
    """Exactly: window end plus allowed lateness is before the watermark."""
    latest = Entry(NOON + HORIZON + beyond, "a", punctuation=punctuated)
    rows = list(enumerate([latest, Entry(NOON, "b"), Entry(NOON + RULES.window - 1, "c")]))
    _, late, _, state = read([rows[:1], rows[1:]] if split else [rows])
    assert late == ([1, 2] if is_late else [])
    watermark = state.watermark(RULES)
    assert watermark is not None
    assert is_late == (NOON + RULES.window + RULES.allowed_lateness < watermark)


def test_window_starts_are_aligned_to_the_epoch_also_before_it() -> None:
    """A window start is inclusive, its end is not, and negative times round down."""
    times = [NOON, NOON + RULES.window - 1, NOON + RULES.window]
    judged = classified_alone([Entry(time) for time in times])
    assert judged.counted["window_start"].to_list() == [NOON, NOON, NOON + RULES.window]
    judged = classified_alone([Entry(-1), Entry(0)])
    assert judged.counted["window_start"].to_list() == [-RULES.window, 0]


def classified_alone(entries: list[Entry]) -> Classified:
    """Classify the entries as the first ones of their partition."""
    return classify(*frames(list(enumerate(entries))), EventTimeState(), RULES)


def test_duplicates_have_the_same_trip_id_and_window() -> None:
    """The same id counts again in another window; trips without an id are no duplicates."""
    entries = [
        Entry(NOON, "a"),
        Entry(NOON + 1, "a"),
        Entry(NOON + RULES.window, "a"),
        Entry(NOON),
        Entry(NOON),
        Entry(NOON, ""),
        Entry(NOON, ""),
    ]
    judged = classified_alone(entries)
    assert judged.counted["row"].to_list() == [0, 2, 3, 4, 5]
    assert judged.duplicates == 2


def test_the_first_of_several_duplicates_counts() -> None:
    """The other fields of a duplicate are ignored."""
    trips, marks = frames(list(enumerate([Entry(NOON, "a"), Entry(NOON, "a")])))
    judged = classify(trips.with_columns(price=pl.Series([1, 2])), marks, EventTimeState(), RULES)
    assert judged.counted["price"].to_list() == [1]


def test_ids_are_remembered_until_their_window_is_late() -> None:
    """A repeated trip is a duplicate until its window is late, and late after that."""
    entries = [Entry(NOON, "a"), Entry(NOON + HORIZON, "b"), Entry(NOON, "a")]
    _, late, duplicates, state = read([[row] for row in enumerate(entries)])
    assert (late, duplicates, len(state.dedupe_state)) == ([], 1, 2)
    entries.append(Entry(NOON + HORIZON + 1, punctuation=True))
    entries.append(Entry(NOON, "a"))
    _, late, duplicates, state = read([[row] for row in enumerate(entries)])
    assert (late, duplicates) == ([4], 1)
    assert state.dedupe_state.to_frame()["bucket"].to_list() == [NOON + 15 * MINUTE]


def test_a_punctuation_moves_event_time_from_its_offset_on() -> None:
    """Trips before a punctuation of the same batch are classified without it."""
    far = Entry(NOON + 60 * MINUTE, punctuation=True)
    judged = classified_alone([Entry(NOON, "a"), far, Entry(NOON, "b")])
    assert judged.counted["row"].to_list() == [0]
    assert judged.late["row"].to_list() == [2]
    assert judged.state.latest == far.time


def test_before_the_first_trip_there_is_no_watermark() -> None:
    """The watermark is None, not zero."""
    start = EventTimeState()
    assert start.watermark(RULES) is None
    assert classified_alone([]).state.watermark(RULES) is None
    assert classified_alone([Entry(0)]).state.watermark(RULES) == -RULES.out_of_orderness


def test_short_windows_share_a_bucket() -> None:
    """There are few buckets, however short the windows are."""
    rules = LatenessRules(window=1_000, out_of_orderness=30_000, allowed_lateness=600_000)
    assert rules.bucket == 157_000
    assert rules.horizon == 631_000
    first = rules.first_bucket(10_000_000)
    last_window = first + rules.bucket - rules.window
    # The last window of the bucket before is late, that of this bucket is not.
    assert last_window - rules.bucket + rules.horizon < 10_000_000 <= last_window + rules.horizon
    assert RULES.bucket == RULES.window


@given(st.data(), partitions())
def test_buckets_of_several_windows_change_no_result(
    data: st.DataObject, entries: list[Entry]
) -> None:
    """Short windows share buckets."""
    rules = LatenessRules(window=MINUTE, out_of_orderness=30_000, allowed_lateness=20 * MINUTE)
    assert rules.bucket == 5 * MINUTE
    rows = list(enumerate(entries))
    *whole, state = read([rows], rules)
    *split, split_state = read(data.draw(batches(rows)), rules)
    assert split == whole == list(classify_one_by_one(entries, rules))
    split_keys, keys = (p.dedupe_state.to_frame() for p in (split_state, state))
    assert split_keys.sort("key").equals(keys.sort("key"))
