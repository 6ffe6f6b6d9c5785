"""Lists in SQL statements that have an item for each measure. Text only: nothing here runs SQL."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from mobility.measures import MEASURES, Measure

CARRY: Final = "_carry"
"""Ends the name of the column with the upper part of a sum, in tables that add up windows. It is
null as long as the sum never exceeded a bigint."""

CARRY_BASE: Final = 10**18
"""What a carry of 1 stands for: such a sum is its carry times this, plus the column of its name."""

_WORDS: Final = {
    "min": {"best": "min", "better_of": "least", "is_worse": ">", "reaches": "<="},
    "max": {"best": "max", "better_of": "greatest", "is_worse": "<", "reaches": ">="},
}
"""What stands for the placeholders of minima and maxima."""


def measure_list(
    template: str,
    extreme: str | None = None,
    measures: Iterable[Measure] = MEASURES,
    *,
    total: str | None = None,
) -> str:
    """Return the items of the measures in the order of the table, separated by commas.

    `{name}` in a template is the name of the measure. `{column}` is what a table with windows of
    earlier releases has of it, `{of[old]}` the same of a table with the alias `old`. `{whole}` and
    `{whole_of[old]}` are the same of a table whose sums have carries, and `{carry}` is the name of
    the column of one. `extreme` is the template of minima and maxima if it is another one, `total`
    that of sums. In `extreme` `{best}` is min or max, `{better_of}` least or greatest, `{is_worse}`
    > or <, and `{reaches}` <= or >=.

    >>> measure_list("sum({name})", "{best}({name})", MEASURES[3:7])
    'sum(total_revenue), min(start_time), max(last_start_time), max(max_price)'
    >>> measure_list("{of[old]}", measures=MEASURES[-1:])
    'coalesce(old.revenue_count, old.trip_count)'
    >>> measure_list("{carry}", measures=MEASURES[1:3])
    'total_duration_carry, total_distance_carry'
    """
    others = {"min": extreme, "max": extreme, "sum": total}
    return ", ".join(
        (others.get(each.kind) or template).format(**_names(each), **_WORDS.get(each.kind, {}))
        for each in measures
    )


class _ByAlias:
    """What tables have of a measure, by the alias of the table."""

    def __init__(self, column: Callable[[Measure, str], str], measure: Measure) -> None:
        self._column = column
        self._measure = measure

    def __getitem__(self, alias: str) -> str:
        return self._column(self._measure, f"{alias}.")


def _names(measure: Measure) -> dict[str, Any]:
    return {
        "name": measure.name,
        "carry": f"{measure.name}{CARRY}",
        "column": _column(measure),
        "of": _ByAlias(_column, measure),
        "whole": _whole(measure),
        "whole_of": _ByAlias(_whole, measure),
    }


def _column(measure: Measure, table: str = "") -> str:
    if not measure.added or measure.substitute is None:
        return f"{table}{measure.name}"
    return f"coalesce({table}{measure.name}, {table}{measure.substitute})"


def _whole(measure: Measure, table: str = "") -> str:
    if measure.kind != "sum":
        return _column(measure, table)
    name = f"{table}{measure.name}"
    carry = f"{name}{CARRY}"
    return f"CASE WHEN {carry} IS NULL THEN {name} ELSE {carry} * 1e18 + {name} END"


def fill_in_lists(statement: str, lists: Mapping[str, str]) -> str:
    """Return a statement with lists in the place of their names; other placeholders stay.

    >>> fill_in_lists("SELECT {measures} FROM {totals}", {"measures": "trip_count, start_time"})
    'SELECT trip_count, start_time FROM {totals}'
    """
    for name, items in lists.items():
        statement = statement.replace(f"{{{name}}}", items)
    return statement
