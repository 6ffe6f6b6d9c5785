"""Comparison of two frames: the rows that differ, by kind. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import polars as pl

from mobility.keys import LAST_WINDOW
from mobility.measures import STARTS
from mobility.times import iso_time

DifferenceKind = Literal["missing", "extra", "repeated", "different"]
DIFFERENCE_KINDS: Final[tuple[DifferenceKind, ...]] = ("missing", "extra", "repeated", "different")

MAX_EXAMPLES: Final = 3
"""How many differences of each kind are kept as examples."""

_TOLERANCE: Final = 1e-12
_FOUND: Final = " found"
_DIFFERS: Final = " differs"
_TIME_COLUMNS: Final = frozenset({"window_start", "window_end", LAST_WINDOW, *STARTS, "end_time"})


@dataclass(frozen=True, slots=True)
class Example:
    """One difference: the key of the row, what the oracle expects and what was found."""

    kind: DifferenceKind
    key: str
    expected: str
    found: str


@dataclass(frozen=True, slots=True)
class OutputComparison:
    """The result of a comparison: the number of expected rows, and the differences by kind.

    `output` names what was compared: a store, a topic, the API.
    """

    output: str
    expected: int
    counts: dict[DifferenceKind, int]
    examples: tuple[Example, ...]

    @property
    def differences(self) -> int:
        """The number of rows that are missing, extra, repeated, or different in some field."""
        return sum(self.counts.values())


def compare(
    output: str,
    expected: pl.DataFrame,
    found: pl.DataFrame,
    *,
    keys: Sequence[str],
    fields: Sequence[str] = (),
    means: Sequence[str] = (),
    added: Sequence[str] = (),
) -> OutputComparison:
    """Compare two frames row by row.

    Rows match if all `keys` are equal, nulls included; `expected` has each key once. `fields` must
    be equal. `means` are doubles that each system computes in its own way: they may differ in the
    last digits (1e-12 of the value). What is `added` to the fields may be absent in what was found:
    an earlier release did not have it. Raises ColumnNotFoundError or SchemaError if a frame lacks a
    column or has it in another type.
    """
    columns = [*keys, *fields, *means, *added]
    expected, found = expected.select(columns), found.select(columns)
    repeated = found.filter(~pl.struct(keys).is_first_distinct())
    found = found.filter(pl.struct(keys).is_first_distinct())
    flags = _difference_flags(fields, means, added)
    both = expected.join(
        found, on=list(keys), how="inner", nulls_equal=True, suffix=_FOUND
    ).with_columns(**flags)
    frames: dict[DifferenceKind, pl.DataFrame] = {
        "missing": expected.join(found, on=list(keys), how="anti", nulls_equal=True),
        "extra": found.join(expected, on=list(keys), how="anti", nulls_equal=True),
        "repeated": repeated,
        "different": both.filter(pl.any_horizontal(pl.lit(value=False), *flags)),
    }
    examples = [
        example
        for kind in DIFFERENCE_KINDS
        for row in frames[kind].sort(keys).head(MAX_EXAMPLES).iter_rows(named=True)
        for example in _examples(kind, row, keys)
    ]
    counts = {kind: frame.height for kind, frame in frames.items()}
    return OutputComparison(output, expected.height, counts, tuple(examples))


def _difference_flags(
    fields: Sequence[str], means: Sequence[str], added: Sequence[str]
) -> dict[str, pl.Expr]:
    """Return a boolean column for each field: whether it differs."""
    flags = {name: pl.col(name).ne_missing(pl.col(name + _FOUND)) for name in fields}
    flags |= {name: pl.col(name).ne(pl.col(name + _FOUND)).fill_null(value=False) for name in added}
    for name in means:
        expected, found = pl.col(name), pl.col(name + _FOUND)
        is_close = (expected - found).abs() <= _TOLERANCE * expected.abs()
        flags[name] = ~is_close.fill_null(value=False)
    return {name + _DIFFERS: flag for name, flag in flags.items()}


def _examples(kind: DifferenceKind, row: dict[str, object], keys: Sequence[str]) -> list[Example]:
    key = ", ".join(_format(name, row[name]) for name in keys)
    if kind == "different":
        names = [
            name.removesuffix(_DIFFERS) for name in row if name.endswith(_DIFFERS) and row[name]
        ]
        return [Example(kind, key, _format(n, row[n]), _format(n, row[n + _FOUND])) for n in names]
    text = ", ".join(_format(name, row[name]) for name in row if name not in keys)
    return [Example(kind, key, *((text, "") if kind == "missing" else ("", text)))]


def _format(name: str, value: object) -> str:
    if name in _TIME_COLUMNS and isinstance(value, int):
        return f"{name} {iso_time(value)}"
    return f"{name} {value}"
