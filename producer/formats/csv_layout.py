"""The header of a CSV file: its separator, the names of columns, and what a row looks like."""

import io
import re
from dataclasses import dataclass
from typing import Final

import polars as pl

from producer.formats.errors import TripsFileError
from producer.formats.input_files import InputFile
from producer.formats.raw_batch import unreadable
from producer.formats.text_lines import read_lines

_SEPARATORS: Final = ",;\t|"
_LINES_FOR_HEADER: Final = 100

# What Excel writes above a header, and reads there.
_NAMED_SEPARATOR: Final = re.compile(r'"?sep=(.)"?', re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class CsvLayout:
    """The header of a file, and its place: `lines` of the file are above the first row."""

    separator: str
    header: str
    names: tuple[str, ...]
    lines: int

    @property
    def record(self) -> str:
        """A regular expression of a whole row: each field has no quote, or is quoted as a whole."""
        return f"^{self._field}(?:{self.escaped_separator}{self._field})*$"

    @property
    def open_record(self) -> str:
        """A regular expression of a first line of a row: its last field goes on after it."""
        return f'^(?:{self._field}{self.escaped_separator})*"(?:[^"]|"")*$'

    @property
    def escaped_separator(self) -> str:
        """The separator in a regular expression."""
        return re.escape(self.separator)

    @property
    def _field(self) -> str:
        return f'(?:[^"{self.escaped_separator}]*|"(?:[^"]|"")*")'


def read_layout(file: InputFile) -> CsvLayout:
    """Return the header of a CSV file. Raises TripsFileError."""
    separator, above = None, 0
    for part in read_lines(file.path, _LINES_FOR_HEADER):
        for line in part.lines:
            above += 1
            if above == 1 and (named := _NAMED_SEPARATOR.fullmatch(line.strip())):
                separator = named[1]
            elif line.strip():
                separator = separator or max(_SEPARATORS, key=line.count)
                return CsvLayout(separator, line, _names(file, line, separator), above)
    msg = f"{file.name}: the file has no rows"
    raise TripsFileError(msg)


def _names(file: InputFile, header: str, separator: str) -> tuple[str, ...]:
    try:
        names = pl.read_csv(
            io.BytesIO(header.encode()), separator=separator, infer_schema=False
        ).columns
    except pl.exceptions.PolarsError as error:
        raise unreadable(file, error) from error
    # Some programs end each line with a separator.
    while len(names) > 1 and not _given_name(names[-1]):
        names.pop()
    return tuple(names)


def _given_name(name: str) -> str:
    """Return a name of a column, empty where the header has none: Polars numbers those."""
    return re.sub(r"^_duplicated_[0-9]+$", "", name.strip())
