"""Lists in SQL statements that have an item for each measure. Text only: nothing here runs SQL."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from mobility.measures import MEASURES, Measure

_WORDS: Final = {
    "min": {"best": "min", "better_of": "least", "is_worse": ">", "reaches": "<="},
    "max": {"best": "max", "better_of": "greatest", "is_worse": "<", "reaches": ">="},
}
"""What stands for the placeholders of minima and maxima."""


def measure_list(
    template: str, extreme: str | None = None, measures: Iterable[Measure] = MEASURES
) -> str:
    """Return the items of the measures in the order of the table, separated by commas.

    `{name}` in a template is the name of the measure. `{column}` is what a table with windows of
    earlier releases has of it, `{of[old]}` the same of a table with the alias `old`. `extreme` is
    the template of minima and maxima if it is another one. In it `{best}` is min or max,
    `{better_of}` least or greatest, `{is_worse}` > or <, and `{reaches}` <= or >=.

    >>> measure_list("sum({name})", "{best}({name})", MEASURES[3:7])
    'sum(total_revenue), min(start_time), max(last_start_time), max(max_price)'
    >>> measure_list("{of[old]}", measures=MEASURES[-1:])
    'coalesce(old.revenue_count, old.trip_count)'
    """
    return ", ".join(
        template.format(**_names(each))
        if extreme is None or each.kind not in _WORDS
        else extreme.format(**_names(each), **_WORDS[each.kind])
        for each in measures
    )


class _ColumnOf:
    """What tables have of a measure, by the alias of the table."""

    def __init__(self, measure: Measure) -> None:
        self._measure = measure

    def __getitem__(self, alias: str) -> str:
        return _column(self._measure, f"{alias}.")


def _names(measure: Measure) -> dict[str, Any]:
    return {"name": measure.name, "column": _column(measure), "of": _ColumnOf(measure)}


def _column(measure: Measure, table: str = "") -> str:
    if not measure.added or measure.substitute is None:
        return f"{table}{measure.name}"
    return f"coalesce({table}{measure.name}, {table}{measure.substitute})"


def fill_in_lists(statement: str, lists: Mapping[str, str]) -> str:
    """Return a statement with lists in the place of their names; other placeholders stay.

    >>> fill_in_lists("SELECT {measures} FROM {totals}", {"measures": "trip_count, start_time"})
    'SELECT trip_count, start_time FROM {totals}'
    """
    for name, items in lists.items():
        statement = statement.replace(f"{{{name}}}", items)
    return statement
