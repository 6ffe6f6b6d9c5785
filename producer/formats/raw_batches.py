"""The rows of a plain file as frames, batch by batch, with the columns as the file has them.

CSV and NDJSON are read as text: what a value means is decided later, in one place for all kinds.
"""

from collections.abc import Iterator, Sequence
from typing import Final

import polars as pl

from producer.formats.csv_rows import CsvRows
from producer.formats.input_files import InputFile
from producer.formats.ndjson_rows import NdjsonRows
from producer.formats.raw_batch import RawBatch, RawRows, unreadable

ROWS_PER_BATCH: Final = 100_000


def open_rows(file: InputFile, expected: Sequence[str] = ()) -> RawRows:
    """Return the rows of a file; nothing is read yet but the names of columns.

    NDJSON has the fields of its first 10,000 lines, and those that are expected further on.
    Raises TripsFileError.
    """
    if file.kind == "parquet":
        return ParquetRows(file, ROWS_PER_BATCH)
    if file.kind == "csv":
        return CsvRows(file, ROWS_PER_BATCH)
    return NdjsonRows(file, ROWS_PER_BATCH, expected)


class ParquetRows:
    """The rows of a parquet file."""

    def __init__(self, file: InputFile, rows_per_batch: int) -> None:
        self._file = file
        self._rows_per_batch = rows_per_batch
        try:
            self._scan = pl.scan_parquet(file.path, glob=False)
            self._height = int(self._scan.select(pl.len()).collect().item())
        except (OSError, pl.exceptions.PolarsError) as error:
            raise unreadable(file, error) from error

    def head(self, size: int) -> pl.DataFrame:
        """Return the first rows. Raises TripsFileError."""
        try:
            return self._scan.head(size).collect()
        except (OSError, pl.exceptions.PolarsError) as error:
            raise unreadable(self._file, error) from error

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[RawBatch]:
        """Yield all rows. Raises TripsFileError."""
        rows = self._scan if columns is None else self._scan.select(columns)
        size, done = self._rows_per_batch, 0
        try:
            for batch in rows.collect_batches(chunk_size=size, maintain_order=True, lazy=True):
                first, done = done + 1, done + batch.height
                numbers = pl.int_range(first, done + 1, dtype=pl.Int64, eager=True)
                # The bytes of single rows are not known: those of all, by the share of rows.
                yield RawBatch(batch, numbers, self._file.size * done // max(self._height, 1))
        except (OSError, pl.exceptions.PolarsError) as error:
            raise unreadable(self._file, error) from error
