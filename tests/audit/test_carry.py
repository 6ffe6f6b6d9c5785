"""A log judged in parts is judged as a whole, and sampled windows have whole sums."""

from typing import Final

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from audit.carry import Carry
from audit.oracle import judged, read_log
from audit.verdicts import Message
from mobility.settings import Settings
from tests.strategies import batches, interleaved, partitions

APPENDED: Final = 4_000_000_000_000

LAYOUTS: Final = (
    Settings(),
    Settings(event_time="end"),
    Settings(window=7, allowed_lateness=0, out_of_orderness=0),
)


@st.composite
def logs(draw: st.DrawFn) -> list[Message]:
    """Draw the messages of up to three partitions in an order in which they may be read."""
    lanes = [draw(partitions(60)) for _ in range(draw(st.integers(1, 3)))]
    positions = [0] * len(lanes)
    messages = []
    for lane, entry in draw(interleaved(lanes)):
        mark = (("watermark", str(entry.time).encode()),) if entry.punctuation else ()
        messages.append(Message(lane, positions[lane], APPENDED, entry.value, mark))
        positions[lane] += 1
    return messages


@pytest.mark.parametrize("settings", LAYOUTS, ids=["start", "end", "short"])
@given(data=st.data())
def test_parts_are_judged_as_the_whole(settings: Settings, data: st.DataObject) -> None:
    """Whatever the parts, verdicts and watermark are those of the oracle over all at once."""
    log = data.draw(logs())
    carry = Carry(settings)
    rows = [
        carry.judged(read_log([part], settings).rows) for part in data.draw(batches(log)) if part
    ]
    whole = judged(read_log([log], settings).rows, settings)
    found = pl.concat([whole.clear(), *(part.select(whole.columns) for part in rows)])
    assert_frame_equal(found.sort("partition", "offset"), whole)
    heard = whole.drop_nulls("event_time").group_by("partition").agg(pl.col("event_time").max())
    assert carry.heard == dict(heard.iter_rows())
