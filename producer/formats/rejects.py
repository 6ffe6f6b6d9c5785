"""The file of `--rejects`: the rows that were left out, as they were, with the reason."""

from pathlib import Path
from typing import Final

import polars as pl

from producer.formats.values import plain_column

_WHERE: Final = ("file", "row", "reason")


class RejectsFile:
    """Writes NDJSON: `file`, `row` (from 1, without a header), `reason`, and the row's `record`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.write_bytes(b"")

    def add(self, file: str, first_row: int, rows: pl.DataFrame, reasons: pl.Series) -> None:
        """Append the rows that have a reason; `first_row` is the number of the first."""
        numbers = reasons.is_not_null().arg_true()
        if numbers.is_empty():
            return
        held = (plain_column(each) for each in rows[numbers])
        record = pl.DataFrame([each for each in held if each is not None])
        with self._path.open("ab") as file_:
            record.select(
                pl.lit(file).alias("file"),
                (numbers.cast(pl.Int64) + first_row).alias("row"),
                reasons.gather(numbers).alias("reason"),
                pl.struct(pl.all()).alias("record"),
            ).write_ndjson(file_)
