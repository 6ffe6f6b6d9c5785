"""The rows of an NDJSON file, as text."""

import io
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec
import polars as pl

from producer.formats.errors import TripsFileError
from producer.formats.input_files import InputFile
from producer.formats.raw_batch import RawBatch, unreadable
from producer.formats.text_lines import read_lines

_LINES_FOR_NAMES: Final = 10_000


class NdjsonRows:
    """The rows of an NDJSON file, with the fields of its first lines and those expected later."""

    def __init__(self, file: InputFile, rows_per_batch: int, expected: Sequence[str]) -> None:
        self._file = file
        self._rows_per_batch = rows_per_batch
        self._schema = dict.fromkeys((*self._first_names(), *expected), pl.String)

    def head(self, size: int) -> pl.DataFrame:
        """Return the first rows. Raises TripsFileError."""
        batch = next(self._read(size, list(self._schema)), None)
        return pl.DataFrame(schema=self._schema) if batch is None else batch.rows

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[RawBatch]:
        """Yield all rows. Raises TripsFileError."""
        return self._read(self._rows_per_batch, list(columns or self._schema))

    def _first_names(self) -> Iterator[str]:
        part = next(read_lines(self._file.path, _LINES_FOR_NAMES), None)
        for number, line in enumerate([] if part is None else part.lines, 1):
            if line.strip():
                yield from self._fields(number, line)

    def _fields(self, number: int, line: str) -> dict[str, msgspec.Raw]:
        try:
            return msgspec.json.decode(line, type=dict[str, msgspec.Raw])
        except msgspec.DecodeError as error:
            raise self._broken(number, line, error) from error

    def _read(self, most: int, columns: list[str]) -> Iterator[RawBatch]:
        done, above = 0, 0
        for part in read_lines(self._file.path, most):
            lines = [line for line in part.lines if line.strip()]
            rows = self._parse(lines, part.lines, above)
            numbers = pl.int_range(done + 1, done + rows.height + 1, dtype=pl.Int64, eager=True)
            above += len(part.lines)
            done += rows.height
            yield RawBatch(rows.select(columns), numbers, part.end, recoded=part.recoded)

    def _parse(self, lines: list[str], all_lines: list[str], above: int) -> pl.DataFrame:
        if not lines:
            return pl.DataFrame(schema=self._schema)
        try:
            rows = pl.read_ndjson(io.BytesIO("\n".join(lines).encode()), schema=self._schema)
        except pl.exceptions.PolarsError as error:
            for number, line in enumerate(all_lines, above + 1):
                if line.strip():
                    self._fields(number, line)
            raise unreadable(self._file, error) from error
        if rows.height != len(lines):
            msg = f"{self._file.name}: {len(lines):,} lines were read as {rows.height:,} rows"
            raise TripsFileError(msg)
        return rows

    def _broken(self, number: int, line: str, error: msgspec.DecodeError) -> TripsFileError:
        msg = f"line {number:,} is no JSON object ({error}): {line[:60]}"
        return unreadable(self._file, ValueError(msg))
