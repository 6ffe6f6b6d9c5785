"""The rows of a CSV file (RFC 4180), as text.

A parser that goes on whatever comes loses fields of rows that have too many, fills those of lines
that were cut off, and joins all lines after a quote that is not closed. So the lines are checked
before they are parsed, and what has not the columns of the header is set apart with its reason.
"""

import csv
import io
from collections.abc import Iterator, Sequence

import polars as pl

from producer.formats.csv_layout import read_layout
from producer.formats.csv_records import CsvRecords, RecordSplitter
from producer.formats.errors import TripsFileError
from producer.formats.input_files import InputFile
from producer.formats.raw_batch import MALFORMED_SCHEMA, RawBatch, unreadable
from producer.formats.text_lines import TextLines, read_lines
from producer.formats.trip_format import normal_name
from producer.formats.values import NO_VALUES


class CsvRows:
    """The rows of a CSV file."""

    def __init__(self, file: InputFile, rows_per_batch: int) -> None:
        self._file = file
        self._rows_per_batch = rows_per_batch
        self._layout = read_layout(file)
        self._splitter = RecordSplitter(self._layout)
        header = pl.Series([self._layout.header])
        self._header = self._splitter.records(header).texts[0]
        self._spelled = [normal_name(name) for name in self._layout.names]

    def head(self, size: int) -> pl.DataFrame:
        """Return the first rows. Raises TripsFileError."""
        frames: list[pl.DataFrame] = []
        reasons: list[str] = []
        for batch in self._read(size, None):
            frames.append(batch.rows)
            reasons.extend(batch.malformed["reason"])
            if sum(frame.height for frame in frames) >= size:
                break
        rows = pl.concat(frames) if frames else self._parse(pl.Series(dtype=pl.String), None)
        if rows.is_empty() and reasons:
            msg = (
                f"{self._file.name}: none of the rows has the {len(self._layout.names)} columns of "
                f"the header. The first: {reasons[0]}"
            )
            raise TripsFileError(msg)
        return rows.head(size)

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[RawBatch]:
        """Yield all rows. Raises TripsFileError."""
        return self._read(self._rows_per_batch, columns)

    def _read(self, most: int, columns: Sequence[str] | None) -> Iterator[RawBatch]:
        begun: list[str] = []
        above, done = self._layout.lines, 0
        part = TextLines([], 0, 0)
        for part in read_lines(self._file.path, most):
            lines = [*begun, *part.lines[above:]] if begun or above else part.lines
            above = max(0, above - len(part.lines))
            records, begun = self._splitter.split(lines, at_end=False)
            batch = self._batch(records, done, part, columns)
            done += batch.numbers.len() + batch.malformed.height
            yield batch
        if begun:
            records, _ = self._splitter.split(begun, at_end=True)
            yield self._batch(records, done, TextLines([], 0, part.end), columns)

    def _batch(
        self, records: CsvRecords, done: int, part: TextLines, columns: Sequence[str] | None
    ) -> RawBatch:
        records = records.without_blank_lines()
        reasons = self._reasons(records, done)
        numbers = pl.int_range(done + 1, done + reasons.len() + 1, dtype=pl.Int64, eager=True)
        is_row = reasons.is_null()
        malformed = pl.DataFrame([numbers, reasons, records.texts], schema=MALFORMED_SCHEMA)
        return RawBatch(
            self._parse(records.texts.filter(is_row), columns),
            numbers.filter(is_row),
            part.end,
            malformed.filter(~is_row),
            part.recoded,
        )

    def _reasons(self, records: CsvRecords, done: int) -> pl.Series:
        """Return why each record is no row of this file, null if it is one."""
        texts, fields, expected = records.texts, records.fields, len(self._layout.names)
        checks = (
            (texts.str.contains("\0", literal=True), "NUL bytes in the line"),
            (self._is_header(texts, done), "the header again"),
            (fields == 0, "quotes are not closed or misplaced"),
            (fields < expected, "fewer fields than columns"),
            (fields > expected, "more fields than columns"),
        )
        nothing = pl.repeat(None, texts.len(), dtype=pl.String, eager=True)
        found = (pl.when(check).then(pl.lit(reason)) for check, reason in checks if check.any())
        return pl.select(pl.coalesce(*found, nothing).alias("reason")).to_series()

    def _is_header(self, records: pl.Series, done: int) -> pl.Series:
        """Tell which records are the header again. Raises TripsFileError for another header."""
        found = records.is_in([self._header])
        # Each trip has a time, so a line without digits is none.
        for at in (~found & ~records.str.contains("[0-9]")).arg_true():
            cells = next(csv.reader([records[at]], delimiter=self._layout.separator), [])
            spelled = [normal_name(cell) for cell in cells]
            if spelled == self._spelled:
                found[at] = True
            elif len({*spelled} & {*self._spelled}) * 2 > len(self._spelled):
                msg = (
                    f"{self._file.name}: row {done + at + 1:,} is a header with other columns. "
                    "Files with different columns were put together: separate them"
                )
                raise TripsFileError(msg)
        return found

    def _parse(self, records: pl.Series, columns: Sequence[str] | None) -> pl.DataFrame:
        schema = dict.fromkeys(self._layout.names, pl.String)
        chosen = list(schema) if columns is None else list(columns)
        if records.is_empty():
            return pl.DataFrame(schema=schema).select(chosen)
        try:
            scan = pl.scan_csv(
                io.BytesIO(records.str.join("\n").item().encode()),
                has_header=False,
                schema=schema,
                separator=self._layout.separator,
                null_values=list(NO_VALUES),
            )
            rows = scan.select(chosen).collect()
        except pl.exceptions.PolarsError as error:
            raise unreadable(self._file, error) from error
        if rows.height != records.len():
            msg = f"{self._file.name}: {records.len():,} rows were read as {rows.height:,}"
            raise TripsFileError(msg)
        return rows
