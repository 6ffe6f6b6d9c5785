"""The rows of a plain file as frames, batch by batch, with the columns as the file has them.

CSV and NDJSON are read as text: what a value means is decided later, in one place for all kinds.
"""

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec
import polars as pl

from producer.formats.errors import TripsFileError
from producer.formats.input_files import InputFile

ROWS_PER_BATCH: Final = 100_000

NO_VALUES: Final = ("NA", "N/A", "#N/A", "NULL", "null", "None", "nan", "NaN", r"\N")
"""What programs write into CSV files where there is no value."""

_SEPARATORS: Final = ",;\t|"
_LINES_FOR_NAMES: Final = 10_000


def scan_rows(file: InputFile, expected: Sequence[str] = ()) -> pl.LazyFrame:
    """Return the rows of a file; nothing is read yet but the names of columns.

    NDJSON has the fields of its first 10,000 lines, and those that are expected further on.
    Raises TripsFileError.
    """
    try:
        if file.kind == "parquet":
            return pl.scan_parquet(file.path, glob=False)
        if file.kind == "csv":
            return _scan_csv(file)
        return _scan_ndjson(file, expected)
    except (OSError, UnicodeDecodeError, msgspec.DecodeError, pl.exceptions.PolarsError) as error:
        raise unreadable(file, error) from error


def read_head(file: InputFile, rows: pl.LazyFrame, size: int) -> pl.DataFrame:
    """Return the first rows of a file. Raises TripsFileError."""
    try:
        return rows.head(size).collect()
    except (OSError, pl.exceptions.PolarsError) as error:
        raise unreadable(file, error) from error


def read_batches(file: InputFile, rows: pl.LazyFrame) -> Iterator[pl.DataFrame]:
    """Yield the rows in frames, in the order of the file. Raises TripsFileError."""
    try:
        yield from rows.collect_batches(chunk_size=ROWS_PER_BATCH, maintain_order=True, lazy=True)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise unreadable(file, error) from error


def unreadable(file: InputFile, error: Exception) -> TripsFileError:
    """Return the error of a file whose content is not what it looks like."""
    first = (str(error).strip() or type(error).__name__).splitlines()[0]
    return TripsFileError(f"{file.name}: not a readable {file.kind} file: {first}")


def _scan_csv(file: InputFile) -> pl.LazyFrame:
    return pl.scan_csv(
        file.path,
        separator=csv_separator(file),
        infer_schema=False,
        null_values=list(NO_VALUES),
        encoding="utf8-lossy",
        truncate_ragged_lines=True,
        glob=False,
    )


def csv_separator(file: InputFile) -> str:
    """Return the separator of a CSV file: the one that its header has most."""
    with file.path.open("r", encoding="utf-8", errors="replace") as lines:
        header = lines.readline()
    return max(_SEPARATORS, key=header.count)


def _scan_ndjson(file: InputFile, expected: Sequence[str]) -> pl.LazyFrame:
    names: dict[str, None] = {}
    with file.path.open("rb") as lines:
        for _, line in zip(range(_LINES_FOR_NAMES), lines, strict=False):
            if line.strip():
                names |= dict.fromkeys(msgspec.json.decode(line, type=dict[str, msgspec.Raw]))
    names |= dict.fromkeys(expected)
    return pl.scan_ndjson(file.path, schema=dict.fromkeys(names, pl.String))
