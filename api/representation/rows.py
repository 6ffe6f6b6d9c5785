"""Rows of windows or of ids: a frame, and its text in NDJSON and CSV or its bytes in Parquet."""

import io
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any, Final

import msgspec
import polars as pl
import polars.selectors as cs

from api.representation.formats import Format
from api.representation.responses import EXACT_DOUBLES, SeriesBucket, TopItem
from mobility.measures import COUNT_OF, COUNTS, MEANS, TOTALS
from mobility.messages import units
from mobility.records import MICRO

_UNITS: Final = dict.fromkeys(TOTALS, pl.Decimal(38, 6))
"""The sums: exact numbers of units."""

ROW_SCHEMA: Final = pl.Schema(
    {
        "id": pl.String(),
        "window_start": pl.Datetime("ms", "UTC"),
        "window_end": pl.Datetime("ms", "UTC"),
        **dict.fromkeys(COUNTS, pl.Int64()),
        **dict.fromkeys(MEANS, pl.Float64()),
        **_UNITS,
        "complete": pl.Boolean(),
    }
)
"""The columns of a window. All formats have the same."""

LIST_ROW_SCHEMA: Final = pl.Schema(
    {
        "id": pl.String(),
        **dict.fromkeys(COUNTS, pl.Int64()),
        **_UNITS,
    }
)
"""The columns of an id in a list."""

_EXACT_UNITS: Final = Decimal(EXACT_DOUBLES) / MICRO

_encode_rows: Final = msgspec.json.Encoder(decimal_format="number").encode_lines

_ISO: Final = "%Y-%m-%dT%H:%M:%SZ"

_FORMULA: Final = r"^[=+\-@\t\r]"
"""Beginnings of a cell that spreadsheets run as a formula, or skip to find one after them."""


TOP_ROW_SCHEMA: Final = pl.Schema(
    {
        "rank": pl.Int64(),
        "id": pl.String(),
        "share": pl.Float64(),
        **dict.fromkeys(COUNTS, pl.Int64()),
        **dict.fromkeys(MEANS, pl.Float64()),
        **_UNITS,
    }
)
"""The columns of a top id."""


def to_rows(entity_id: str, items: Sequence[SeriesBucket]) -> pl.DataFrame:
    """Return the buckets of an id as rows."""
    columns = _columns(items, (name for name in ROW_SCHEMA if name != "id"))
    return pl.DataFrame({"id": [entity_id] * len(items), **columns}, schema=ROW_SCHEMA)


def to_top_rows(items: Sequence[TopItem]) -> pl.DataFrame:
    """Return top ids as rows."""
    return pl.DataFrame(_columns(items, TOP_ROW_SCHEMA), schema=TOP_ROW_SCHEMA)


def to_rows_of_batch(found: pl.DataFrame, buckets: pl.DataFrame) -> pl.DataFrame:
    """Return a batch of windows (WINDOW_BATCH_SCHEMA) as rows.

    `buckets` has the other columns of a row for each index of a bucket.
    """
    rows = to_list_rows(found).with_columns(
        **{name: _means(found, total) for name, total in MEANS.items()}
    )
    return rows.hstack(buckets[found["bucket"]]).select(ROW_SCHEMA.names())


def to_list_rows(found: pl.DataFrame) -> pl.DataFrame:
    """Return a batch of a list (LIST_BATCH_SCHEMA) as rows."""
    return found.select(
        "id",
        *COUNTS,
        *(pl.when(~_is_absent(name)).then(units(name)).alias(name) for name in TOTALS),
    )


def _is_absent(total: str) -> pl.Expr:
    """Return for each row whether it has trips, but none of them has what a sum is of."""
    return (pl.col("trip_count") > 0) & (pl.col(COUNT_OF[total]) == 0)


def _means(found: pl.DataFrame, total: str) -> pl.Series:
    """Return the means over the trips that have the amount; null where none has it."""
    counts = found[COUNT_OF[total]]
    means = nearest_quotients(found[total], counts.replace(0, 1) * MICRO)
    return means.set(found.select(_is_absent(total)).to_series(), None)


def nearest_quotients(amounts: pl.Series, divisors: pl.Series) -> pl.Series:
    """Return the doubles nearest to quotients of integers, as the division of Python does.

    >>> nearest_quotients(pl.Series([2**60 + 1, 1]), pl.Series([10**6, 3])).to_list()
    [1152921504606.847, 0.3333333333333333]
    """
    are_exact = all(
        each.is_between(-EXACT_DOUBLES, EXACT_DOUBLES).all() for each in (amounts, divisors)
    )
    if are_exact:
        return amounts.cast(pl.Float64) / divisors.cast(pl.Float64)
    found = [amount / divisor for amount, divisor in zip(amounts, divisors, strict=True)]
    return pl.Series(found, dtype=pl.Float64)


def _columns(items: Sequence[object], names: Iterable[str]) -> dict[str, list[Any]]:
    return {
        name: [
            _exact(getattr(item, name)) if name in TOTALS else getattr(item, name) for item in items
        ]
        for name in names
    }


def _exact(amount: float | msgspec.Raw | None) -> Decimal | None:
    """Return what `exact_units` returns as a decimal: the shortest text of a double is exact."""
    if amount is None:
        return None
    return Decimal(bytes(amount).decode() if isinstance(amount, msgspec.Raw) else repr(amount))


def write_rows(rows: pl.DataFrame, name: Format, *, raw: bool = False) -> bytes:
    """Return rows in a format other than JSON; for `raw` see `write_csv`."""
    if name == "csv":
        return write_csv(rows, raw=raw)
    if name == "ndjson":
        return write_ndjson(rows)
    with io.BytesIO() as file:
        rows.write_parquet(file)
        return file.getvalue()


def write_ndjson(rows: pl.DataFrame) -> bytes:
    """Return a JSON object per row, with times in ISO 8601."""
    rows = rows.with_columns(cs.datetime().dt.strftime(_ISO))
    largest = rows.select(cs.decimal().abs().max()).row(0)
    if any(each is not None and each > _EXACT_UNITS for each in largest):
        return _encode_rows(rows.iter_rows(named=True))
    with io.BytesIO() as file:
        rows.with_columns(cs.decimal().cast(pl.Float64)).write_ndjson(file)
        return file.getvalue()


def write_csv(rows: pl.DataFrame, *, raw: bool = False, has_header: bool = True) -> bytes:
    r"""Return rows as CSV (RFC 4180), with times in ISO 8601.

    Ids come from trips, so anybody can choose one. A cell that a spreadsheet would take for a
    formula gets an apostrophe in front, unless they are wanted `raw`.

    >>> rows = pl.DataFrame({"id": ["=1+1", "a"]}).match_to_schema(
    ...     ROW_SCHEMA, missing_columns="insert"
    ... )
    >>> [line.partition(b",")[0] for line in write_csv(rows).splitlines()]
    [b'id', b"'=1+1", b'a']
    """
    if not raw:
        is_formula = pl.col("id").str.contains(_FORMULA)
        rows = rows.with_columns(
            pl.when(is_formula).then(pl.concat_str(pl.lit("'"), "id")).otherwise("id").alias("id")
        )
    # Without zeros at the end, as in JSON.
    texts = cs.decimal().cast(pl.String).str.strip_chars_end("0").str.replace(r"\.$", ".0")
    rows = rows.with_columns(texts)
    return rows.write_csv(include_header=has_header, datetime_format=_ISO).encode()
