"""Which recount a window is right by, if any: else it is as the flow has counted it.

A recount computes all windows of its range, and writes those that differ. A revert writes again
what the windows were before.
"""

from collections.abc import Iterable, Sequence
from typing import Final, Protocol

import polars as pl

from audit.backfill_records import BackfillRecord, reverted_by
from audit.window_sample import ENTITY_WINDOW_KEY

NO_RECOUNT: Final = 0
"""The number of windows that are as the flow has counted them."""

NUMBER: Final = pl.Int32()


class WrittenWindows(Protocol):
    """A folder of records, as this module reads it."""

    def written(self, record: BackfillRecord) -> pl.DataFrame:
        """Return the windows (KEY_SCHEMA) that a backfill has written, or is writing."""
        ...


def recount_of(
    windows: pl.DataFrame, records: Sequence[BackfillRecord], folder: WrittenWindows
) -> pl.Series:
    """Return for windows (ENTITY_WINDOW_KEY) the number of the record that each is right by.

    The records are applied ones. A negative number is that of a record which does not say what it
    has read.
    """
    reverted = reverted_by(records)
    found = pl.repeat(NO_RECOUNT, windows.height, dtype=NUMBER, eager=True)
    before: dict[str | None, pl.Series] = {}
    for record in records:
        if record.id in reverted:
            before[record.id] = found
        is_changed = windows.select(record.covers()).to_series()
        if not is_changed.any():
            continue
        number = pl.repeat(record.number, windows.height, dtype=NUMBER, eager=True)
        if record.reverts is not None:
            number = before.get(record.reverts, -number)
            is_changed = is_among(windows, folder.written(record))
        elif record.read is None:
            # What it has not written had the right value already.
            number = -number
            is_changed = is_among(windows, folder.written(record))
        found = number.zip_with(is_changed, found)
    return found


def is_written(
    windows: pl.DataFrame, records: Iterable[BackfillRecord], folder: WrittenWindows
) -> pl.Series:
    """Return for windows (ENTITY_WINDOW_KEY) whether one of these records has written them."""
    found = pl.repeat(value=False, n=windows.height, dtype=pl.Boolean, eager=True)
    for record in records:
        if windows.select(record.covers().any()).item():
            found |= is_among(windows, folder.written(record))
    return found


def is_among(windows: pl.DataFrame, others: pl.DataFrame) -> pl.Series:
    """Return for windows (ENTITY_WINDOW_KEY) whether they are among others."""
    marked = others.select(ENTITY_WINDOW_KEY).unique().with_columns(found=pl.lit(value=True))
    keys = windows.select(ENTITY_WINDOW_KEY)
    joined = keys.join(marked, on=ENTITY_WINDOW_KEY, how="left", maintain_order="left")
    return joined["found"].fill_null(value=False)
