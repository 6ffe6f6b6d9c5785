"""Some rows of a plain file, with the columns as the file has them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

import polars as pl

from producer.formats.errors import TripsFileError
from producer.formats.input_files import InputFile

MALFORMED_SCHEMA: Final = pl.Schema({"row": pl.Int64, "reason": pl.String, "line": pl.String})


@dataclass(frozen=True, slots=True)
class RawBatch:
    """Rows in the order of the file.

    `numbers` has the number of each row, from 1, without a header. `malformed` (MALFORMED_SCHEMA):
    what has no columns, by its number. `recoded`: how many lines were not UTF-8. `end`: how many
    bytes of the file are read.
    """

    rows: pl.DataFrame
    numbers: pl.Series
    end: int
    malformed: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=MALFORMED_SCHEMA))
    recoded: int = 0


class RawRows(Protocol):
    """The rows of one file. What can't be read raises TripsFileError."""

    def head(self, size: int) -> pl.DataFrame:
        """Return the first rows."""

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[RawBatch]:
        """Yield all rows, with these columns of the file or with all."""


def unreadable(file: InputFile, error: Exception) -> TripsFileError:
    """Return the error of a file whose content is not what it looks like."""
    first = (str(error).strip() or type(error).__name__).splitlines()[0]
    return TripsFileError(f"{file.name}: not a readable {file.kind} file: {first}")
