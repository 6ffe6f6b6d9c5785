"""Sampled sums are whole sums, also where the log's beginning is gone or the log goes on."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, cast

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from audit.carry import Carry
from audit.oracle import answer, judged, read_log
from audit.places import Span
from audit.recount import recount
from audit.sample import KEY, SUMS_SCHEMA, Sample, added, newest
from audit.tail import Offsets, Tail
from audit.verdicts import Message
from mobility.records import MAX_EVENT_TIME, MIN_EVENT_TIME, TOTALS
from mobility.settings import Settings
from tests.strategies import MINUTE, batches, interleaved, partitions

LAYOUTS: Final = (
    Settings(),
    Settings(event_time="end"),
    Settings(window=7, allowed_lateness=0, out_of_orderness=0),
)
ALWAYS: Final = Span(MIN_EVENT_TIME, MAX_EVENT_TIME)
SUMS: Final = [*KEY, "trip_count", *TOTALS, "start_time"]


@st.composite
def logs(draw: st.DrawFn) -> list[Message]:
    """Draw messages of up to three partitions, appended at about the time of their trips."""
    lanes = [draw(partitions(60)) for _ in range(draw(st.integers(1, 3)))]
    positions, stamps = [0] * len(lanes), [0] * len(lanes)
    messages = []
    for lane, entry in draw(interleaved(lanes)):
        stamps[lane] = max(stamps[lane], entry.time + draw(st.sampled_from((-4, 0, 9))) * MINUTE)
        mark = (("watermark", str(entry.time).encode()),) if entry.punctuation else ()
        messages.append(Message(lane, positions[lane], stamps[lane], entry.value, mark))
        positions[lane] += 1
    return messages


@dataclass
class FakeTail:
    """A tail whose batches are given; `cut` messages of each partition are gone."""

    batches: list[list[Message]]
    cut: int
    positions: Offsets
    gone: int | None = None
    met: set[int] = field(default_factory=set)

    def read(self, ends: Offsets, batch: int) -> Iterator[list[Message]]:
        """Yield what is left of each batch."""
        del ends, batch
        for messages in self.batches:
            left = [message for message in messages if message.offset >= self.cut]
            for message in left:
                if self.cut and message.partition not in self.met:
                    self.met.add(message.partition)
                    self.gone = max(self.gone or 0, message.timestamp)
            yield left


@pytest.mark.parametrize("settings", LAYOUTS, ids=["start", "end", "short"])
@given(data=st.data())
def test_parts_are_judged_as_the_whole(settings: Settings, data: st.DataObject) -> None:
    """Whatever the parts, verdicts and prefix maxima are those of the oracle over all at once."""
    log = data.draw(logs())
    carry = Carry(settings)
    parts = [part for part in data.draw(batches(log)) if part]
    rows = [carry.judged(read_log([part], settings).rows) for part in parts]
    whole = judged(read_log([log], settings).rows, settings)
    found = pl.concat([whole.clear(), *(part.select(whole.columns) for part in rows)])
    assert_frame_equal(found.sort("partition", "offset"), whole)
    heard = whole.drop_nulls("event_time").group_by("partition").agg(pl.col("event_time").max())
    assert carry.heard == dict(heard.iter_rows())


@pytest.mark.parametrize("settings", LAYOUTS, ids=["start", "end", "short"])
@given(data=st.data())
def test_what_is_called_whole_is_what_the_whole_log_says(
    settings: Settings, data: st.DataObject
) -> None:
    """However much is gone, unread or left out of the sample, its windows are the oracle's."""
    log = data.draw(logs())
    read = log[: data.draw(st.integers(0, len(log)))]
    positions = {message.partition: 0 for message in log}
    cut = data.draw(st.integers(0, 20))
    size = data.draw(st.sampled_from((None, 1, 3)))
    groups = data.draw(st.sampled_from((("entity",), ("entity", "window_start"))))
    tail = cast("Tail", FakeTail(data.draw(batches(read)), cut, positions))
    sample = Sample(size, 5, groups, added)
    counted = recount(tail, sample, settings, ALWAYS)
    list(counted.follow({}))
    inside = counted.whole.windows()
    expected = answer(read_log([log], settings), settings).windows.select(SUMS).filter(inside)
    found = sample.rows.filter(inside).select(SUMS)
    assert_frame_equal(found.sort(KEY), sample.within(expected).sort(KEY))
    if size is not None:
        assert sample.rows.group_by(groups).len()["len"].max() in {None, *range(1, size + 1)}


@st.composite
def versions(draw: st.DrawFn) -> list[pl.DataFrame]:
    """Draw batches of windows as a topic has them: repeated, in several versions."""
    row = st.tuples(
        *(st.sampled_from(("driver", "h3")), st.sampled_from(("a", "b", "c", "d"))),
        *(st.sampled_from((0, 300_000)), st.integers(0, 1), st.integers(1, 4)),
    )
    return [
        pl.DataFrame([(*each, 1, 1, 1, 1) for each in batch], schema=SUMS_SCHEMA, orient="row")
        for batch in draw(st.lists(st.lists(row, max_size=8), max_size=6))
    ]


@given(versions(), st.integers(1, 4))
def test_two_samples_hold_the_same_windows(topic: list[pl.DataFrame], size: int) -> None:
    """Up to the lower limit a bounded sample has what an unbounded one has, in its last version."""
    bounded, everything = (Sample(each, 1, ["entity"], newest) for each in (size, None))
    for batch in topic:
        bounded.add(batch)
        everything.add(batch)
    assert_frame_equal(bounded.rows.sort(KEY), bounded.within(everything.rows).sort(KEY))
    present = everything.rows.group_by("entity").len().rows()
    assert dict(bounded.rows.group_by("entity").len().rows()) == {
        entity: min(size, count) for entity, count in present
    }
    version = ["generation", "trip_count"]
    best = pl.concat([everything.rows.clear(), *topic]).group_by(KEY)
    highest = best.agg(pl.col(version).sort_by(version).last())
    columns = [*KEY, *version]
    assert_frame_equal(everything.rows.select(columns).sort(KEY), highest.select(columns).sort(KEY))
