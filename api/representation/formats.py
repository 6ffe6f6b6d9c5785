"""Formats of a series: JSON, and rows in NDJSON, CSV or Parquet."""

import io
from collections.abc import Callable, Sequence
from typing import Final

import msgspec
import polars as pl
from litestar.datastructures.headers import Accept

from api.errors import NotAcceptableError
from api.representation.responses import SeriesBucket
from mobility.measures import COUNTS, MEANS, TOTALS

JSON: Final = "application/json"
NDJSON: Final = "application/x-ndjson"
CSV: Final = "text/csv"
PARQUET: Final = "application/vnd.apache.parquet"

_COLUMNS: Final = pl.Schema(
    {
        "window_start": pl.Datetime("ms", "UTC"),
        "window_end": pl.Datetime("ms", "UTC"),
        **dict.fromkeys(COUNTS, pl.Int64()),
        **dict.fromkeys((*MEANS, *TOTALS), pl.Float64()),
        "complete": pl.Boolean(),
    }
)


def negotiate_format(accept: str) -> str:
    """Return the format that an Accept header prefers; raises NotAcceptableError.

    >>> negotiate_format("text/html, */*;q=0.8"), negotiate_format("text/csv")
    ('application/json', 'text/csv')
    """
    found = Accept(accept or "*/*").best_match([JSON, *_WRITERS])
    if found is None:
        msg = f"accept: the formats of a series are {', '.join([JSON, *_WRITERS])}"
        raise NotAcceptableError(msg)
    return found


def write_rows(items: Sequence[SeriesBucket], media_type: str) -> bytes:
    """Return buckets as rows in a format other than JSON; all have the same columns."""
    return _WRITERS[media_type](items)


def _to_ndjson(items: Sequence[SeriesBucket]) -> bytes:
    return msgspec.json.Encoder().encode_lines(items)


def _to_csv(items: Sequence[SeriesBucket]) -> bytes:
    return _to_frame(items).write_csv(datetime_format="%Y-%m-%dT%H:%M:%SZ").encode()


def _to_parquet(items: Sequence[SeriesBucket]) -> bytes:
    with io.BytesIO() as file:
        _to_frame(items).write_parquet(file)
        return file.getvalue()


def _to_frame(items: Sequence[SeriesBucket]) -> pl.DataFrame:
    columns = {name: [getattr(item, name) for item in items] for name in _COLUMNS}
    return pl.DataFrame(columns, schema=_COLUMNS)


_WRITERS: Final[dict[str, Callable[[Sequence[SeriesBucket]], bytes]]] = {
    NDJSON: _to_ndjson,
    CSV: _to_csv,
    PARQUET: _to_parquet,
}
