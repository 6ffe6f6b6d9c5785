"""The file of `--rejects`: the rows that were left out, as they were, with the reason."""

from pathlib import Path

import polars as pl

from producer.formats.raw_batch import RawBatch
from producer.formats.values import plain_column


class RejectsFile:
    """Writes NDJSON: `file`, `row` (from 1, without a header), `reason`, and the row's `record`.

    A malformed row has no record, but its `line`.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        path.write_bytes(b"")

    def add(self, file: str, batch: RawBatch, reasons: pl.Series) -> None:
        """Append the rows of a batch that have a reason, and those that are malformed."""
        self._append(batch.malformed.select(pl.lit(file).alias("file"), pl.all()))
        left_out = reasons.is_not_null()
        held = (plain_column(each) for each in batch.rows.filter(left_out))
        record = pl.DataFrame([each for each in held if each is not None])
        self._append(
            record.select(
                pl.lit(file).alias("file"),
                batch.numbers.filter(left_out).alias("row"),
                reasons.filter(left_out).alias("reason"),
                pl.struct(pl.all()).alias("record"),
            )
        )

    def _append(self, rows: pl.DataFrame) -> None:
        if not rows.is_empty():
            with self._path.open("ab") as file:
                rows.write_ndjson(file)
