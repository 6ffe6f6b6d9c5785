"""Sampled windows are complete, also if the beginning of the log is deleted or the log goes on."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, cast

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from audit.audited_stores import AuditedRange
from audit.incremental_topic_reader import IncrementalTopicReader, Offsets, OnPoll
from audit.oracle import classify, run_oracle, validate_log
from audit.oracle_state import OracleState
from audit.recomputation import WindowRecomputation
from audit.validation import LogMessage
from audit.window_sample import (
    ENTITY_WINDOW_KEY,
    SAMPLE_SCHEMA,
    WINDOW_FIELDS,
    WindowSample,
    keep_highest_versions,
    merge_partials,
)
from mobility.records import MAX_EVENT_TIME, MIN_EVENT_TIME
from mobility.settings import Settings
from tests.strategies import MINUTE, batches, interleaved, partitions
from tests.windows import window, window_frame

LAYOUTS: Final = (
    Settings(),
    Settings(event_time="end"),
    Settings(window=7, allowed_lateness=0, out_of_orderness=0),
)
ALL_WINDOWS: Final = AuditedRange(MIN_EVENT_TIME, MAX_EVENT_TIME)
SUMS: Final = [*ENTITY_WINDOW_KEY, *WINDOW_FIELDS]


@st.composite
def logs(draw: st.DrawFn) -> list[LogMessage]:
    """Draw messages of up to three partitions, appended at about the time of their trips."""
    logged = [draw(partitions(60)) for _ in range(draw(st.integers(1, 3)))]
    positions, stamps = [0] * len(logged), [0] * len(logged)
    messages = []
    for partition, entry in draw(interleaved(logged)):
        stamps[partition] = max(
            stamps[partition], entry.time + draw(st.sampled_from((-4, 0, 9))) * MINUTE
        )
        mark = (("watermark", str(entry.time).encode()),) if entry.punctuation else ()
        messages.append(
            LogMessage(partition, positions[partition], stamps[partition], entry.value, mark)
        )
        positions[partition] += 1
    return messages


@dataclass
class FakeFollower:
    """A follower of given batches; the first `cut` messages of each partition are deleted."""

    batches: list[list[LogMessage]]
    cut: int
    positions: Offsets
    truncated_until: int | None = None
    seen: set[int] = field(default_factory=set)

    def read(self, ends: Offsets, batch_size: int, on_poll: OnPoll) -> Iterator[list[LogMessage]]:
        """Yield the messages of each batch that are not deleted."""
        del ends, batch_size, on_poll
        for messages in self.batches:
            left = [message for message in messages if message.offset >= self.cut]
            for message in left:
                if self.cut and message.partition not in self.seen:
                    self.seen.add(message.partition)
                    self.truncated_until = max(self.truncated_until or 0, message.timestamp)
            yield left


@pytest.mark.parametrize("settings", LAYOUTS, ids=["start", "end", "short"])
@given(data=st.data())
def test_parts_are_classified_like_the_whole_log(settings: Settings, data: st.DataObject) -> None:
    """For any parts, outcomes and prefix maxima are those of the oracle over the whole log."""
    log = data.draw(logs())
    oracle_state = OracleState(settings)
    parts = [part for part in data.draw(batches(log)) if part]
    rows = [oracle_state.classify(validate_log([part], settings).rows) for part in parts]
    whole = classify(validate_log([log], settings).rows, settings)
    found = pl.concat([whole.clear(), *(part.select(whole.columns) for part in rows)])
    assert_frame_equal(found.sort("partition", "offset"), whole)
    expected = whole.drop_nulls("event_time").group_by("partition").agg(pl.col("event_time").max())
    assert oracle_state.max_event_times == dict(expected.iter_rows())


@pytest.mark.parametrize("settings", LAYOUTS, ids=["start", "end", "short"])
@given(data=st.data())
def test_complete_windows_are_those_of_the_whole_log(
    settings: Settings, data: st.DataObject
) -> None:
    """Whatever is deleted, unread or not sampled, the windows are the oracle's."""
    log = data.draw(logs())
    read = log[: data.draw(st.integers(0, len(log)))]
    positions = {message.partition: 0 for message in log}
    cut = data.draw(st.integers(0, 20))
    size = data.draw(st.sampled_from((None, 1, 3)))
    groups = data.draw(st.sampled_from((("entity",), ("entity", "window_start"))))
    follower = cast(
        "IncrementalTopicReader", FakeFollower(data.draw(batches(read)), cut, positions)
    )
    sample = WindowSample(size, 5, groups, merge_partials)
    counted = WindowRecomputation(follower, sample, settings, ALL_WINDOWS)
    list(counted.read_to({}))
    inside = counted.complete_range.contains()
    expected = (
        run_oracle(validate_log([log], settings), settings).windows.select(SUMS).filter(inside)
    )
    found = sample.rows.filter(inside).select(SUMS)
    assert_frame_equal(
        found.sort(ENTITY_WINDOW_KEY), sample.keep_sampled(expected).sort(ENTITY_WINDOW_KEY)
    )
    if size is not None:
        assert sample.rows.group_by(groups).len()["len"].max() in {None, *range(1, size + 1)}


@st.composite
def versions(draw: st.DrawFn) -> list[pl.DataFrame]:
    """Draw batches of windows as in a topic: repeated, in several versions."""
    row = st.builds(
        window,
        *(st.sampled_from(("a", "b", "c", "d")), st.sampled_from((0, 300_000)), st.integers(1, 4)),
        entity=st.sampled_from(("driver", "h3")),
        generation=st.integers(0, 1),
    )
    return [
        window_frame(batch, SAMPLE_SCHEMA)
        for batch in draw(st.lists(st.lists(row, max_size=8), max_size=6))
    ]


@given(versions(), st.integers(1, 4))
def test_two_samples_hold_the_same_windows(topic: list[pl.DataFrame], size: int) -> None:
    """Up to its limit a bounded sample has the windows of an unbounded one, in the last version."""
    bounded, everything = (
        WindowSample(each, 1, ["entity"], keep_highest_versions) for each in (size, None)
    )
    for batch in topic:
        bounded.add(batch)
        everything.add(batch)
    assert_frame_equal(
        bounded.rows.sort(ENTITY_WINDOW_KEY),
        bounded.keep_sampled(everything.rows).sort(ENTITY_WINDOW_KEY),
    )
    present = everything.rows.group_by("entity").len().rows()
    assert dict(bounded.rows.group_by("entity").len().rows()) == {
        entity: min(size, count) for entity, count in present
    }
    version = ["generation", "trip_count"]
    best = pl.concat([everything.rows.clear(), *topic]).group_by(ENTITY_WINDOW_KEY)
    highest = best.agg(pl.col(version).sort_by(version).last())
    columns = [*ENTITY_WINDOW_KEY, *version]
    assert_frame_equal(
        everything.rows.select(columns).sort(ENTITY_WINDOW_KEY),
        highest.select(columns).sort(ENTITY_WINDOW_KEY),
    )
