"""Formats of windows and lists: JSON, and rows in NDJSON, CSV or Parquet."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from litestar.datastructures.headers import Accept

from api.errors import InvalidParameterError, NotAcceptableError

Format = Literal["json", "ndjson", "csv", "parquet"]
"""The names of formats in the parameter `format`, which are the endings of file names too."""

JSON: Final = "application/json"
NDJSON: Final = "application/x-ndjson"
CSV: Final = "text/csv"
PARQUET: Final = "application/vnd.apache.parquet"

MEDIA_TYPES: Final[Mapping[Format, str]] = {
    "json": JSON,
    "ndjson": NDJSON,
    "csv": CSV,
    "parquet": PARQUET,
}
ALL_FORMATS: Final[Sequence[Format]] = ("json", "ndjson", "csv", "parquet")
ROW_FORMATS: Final[Sequence[Format]] = ("ndjson", "csv", "parquet")


@dataclass(frozen=True, slots=True)
class Form:
    """The form of a response: its format, and whether cells of CSV are as they are."""

    name: Format
    raw: bool


def choose_format(
    name: Format | None, accept: str | None, offered: Sequence[Format] = ALL_FORMATS
) -> Format:
    """Return the named format, else the offered one that an Accept header prefers.

    Without a preference it is the first one. Raises InvalidParameterError or NotAcceptableError.

    >>> choose_format(None, "text/html, */*;q=0.8"), choose_format(None, "text/csv")
    ('json', 'csv')
    >>> choose_format("parquet", "text/csv")
    'parquet'
    """
    if name is not None and name not in offered:
        msg = f"format: here it is one of {', '.join(offered)}"
        raise InvalidParameterError(msg)
    if name is not None:
        return name
    by_type = {MEDIA_TYPES[each]: each for each in offered}
    found = Accept(accept or "*/*").best_match(list(by_type))
    if found is None:
        msg = f"accept: the formats here are {', '.join(by_type)}"
        raise NotAcceptableError(msg)
    return by_type[found]


def content_type(name: Format) -> str:
    """Return the content type of a format."""
    return f"{CSV}; charset=utf-8" if name == "csv" else MEDIA_TYPES[name]


def format_headers(name: Format, file_name: str) -> dict[str, str]:
    """Return the headers that depend on the format.

    Browsers save rows as a file of this name, whose ending tells Excel and others what is in it.
    """
    headers = {"Vary": "Accept"}
    if name != "json":
        headers["Content-Disposition"] = f'attachment; filename="{file_name}.{name}"'
    return headers
