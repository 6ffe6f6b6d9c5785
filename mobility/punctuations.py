"""Punctuations, and the rule against event times from the future.

A punctuation is a message without a value whose header `watermark` holds an event time: up to there
its partition has been told of everything (Tucker et al., "Exploiting Punctuation Semantics in
Continuous Data Streams", 2003).
"""

import re
from collections.abc import Sequence
from typing import Final

import polars as pl

from mobility.topics import WATERMARK_HEADER

PUNCTUATION_SCHEMA: Final = pl.Schema({"row": pl.Int64, "event_time": pl.Int64})
"""Punctuations of a batch: the row of the message, and its event time in epoch ms."""

_EPOCH_MS: Final = re.compile(rb"-?[0-9]{1,15}")

Headers = Sequence[tuple[str, str | bytes | None]]


def event_time_of(headers: Headers | None) -> int | None:
    """Return the event time (epoch ms) that a punctuation's headers announce, None without one."""
    text = dict(headers or ()).get(WATERMARK_HEADER)
    if not isinstance(text, bytes) or not _EPOCH_MS.fullmatch(text):
        return None
    return int(text)


def reject_future(timed: pl.DataFrame, appended: Sequence[int], tolerance: int) -> pl.DataFrame:
    """Return rejections (REJECTED_SCHEMA) of rows stamped too long after their log-append time.

    `timed` has `row` and `event_time`, `appended` the log-append time of each row; all in epoch ms,
    as is the `tolerance`.
    """
    ahead = pl.col("event_time") - pl.Series("appended", appended, dtype=pl.Int64)
    late = timed.select("row", ahead=ahead).filter(pl.col("ahead") > tolerance)
    seconds = (pl.col("ahead") // 1_000).cast(pl.String)
    detail = pl.format("event time is {} s after the log-append time", seconds)
    return late.select("row", error=pl.lit("in_future"), detail=detail)
