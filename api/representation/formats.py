"""A series as JSON, or as rows for other programs: NDJSON, CSV and Parquet."""

import io
from collections.abc import Callable, Sequence
from typing import Final

import msgspec
import polars as pl
from litestar.datastructures.headers import Accept

from api.errors import NotAcceptable
from api.representation.responses import Span

JSON: Final = "application/json"
NDJSON: Final = "application/x-ndjson"
CSV: Final = "text/csv"
PARQUET: Final = "application/vnd.apache.parquet"

_COLUMNS: Final = pl.Schema(
    {
        "window_start": pl.Datetime("ms", "UTC"),
        "window_end": pl.Datetime("ms", "UTC"),
        "trip_count": pl.Int64(),
        "avg_duration": pl.Float64(),
        "avg_distance": pl.Float64(),
        "avg_revenue": pl.Float64(),
        "total_duration": pl.Float64(),
        "total_distance": pl.Float64(),
        "total_revenue": pl.Float64(),
        "complete": pl.Boolean(),
    }
)


def negotiated(accept: str) -> str:
    """Return the format that a header Accept wants most; raises NotAcceptable.

    >>> negotiated("text/html, */*;q=0.8"), negotiated("text/csv")
    ('application/json', 'text/csv')
    """
    found = Accept(accept or "*/*").best_match([JSON, *_WRITERS])
    if found is None:
        msg = f"accept: a series can be had as {', '.join([JSON, *_WRITERS])}"
        raise NotAcceptable(msg)
    return found


def written(items: Sequence[Span], media_type: str) -> bytes:
    """Return spans as rows in a format other than JSON: the same columns in each."""
    return _WRITERS[media_type](items)


def _ndjson(items: Sequence[Span]) -> bytes:
    return msgspec.json.Encoder().encode_lines(items)


def _csv(items: Sequence[Span]) -> bytes:
    return _frame(items).write_csv(datetime_format="%Y-%m-%dT%H:%M:%SZ").encode()


def _parquet(items: Sequence[Span]) -> bytes:
    with io.BytesIO() as file:
        _frame(items).write_parquet(file)
        return file.getvalue()


def _frame(items: Sequence[Span]) -> pl.DataFrame:
    columns = {name: [getattr(item, name) for item in items] for name in _COLUMNS}
    return pl.DataFrame(columns, schema=_COLUMNS)


_WRITERS: Final[dict[str, Callable[[Sequence[Span]], bytes]]] = {
    NDJSON: _ndjson,
    CSV: _csv,
    PARQUET: _parquet,
}
