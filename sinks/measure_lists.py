"""The lists of measures in the SQL files of this package.

A window without trips, which a backfill can leave, counts for no minimum and no maximum.

The sums of many windows can exceed a bigint: tables of totals have two columns for each, that of
its name and its carry. As long as the first one is enough, it alone is added to.
"""

from collections.abc import Iterable
from typing import Final

from psycopg import sql

from mobility.measure_lists import CARRY_BASE, measure_list
from mobility.measures import ADDED, EXTREMES, MEASURES, STARTS, Measure
from mobility.sketched_measures import SKETCHES, Sketch


def _in_units(measure: Measure) -> str:
    """Return a measure as people read it: a number, or an exact amount in units."""
    if measure.kind == "count":
        return measure_list("{column}", measures=[measure])
    return f"({measure.name} * 0.000001)::numeric(19, 6)"


def _split(amount: str) -> str:
    """Return a numeric as the two columns of a sum, both with its sign."""
    return (
        f"mod({amount}, {CARRY_BASE})::bigint AS {{name}}, "
        f"div({amount}, {CARRY_BASE})::bigint AS {{carry}}"
    )


def _added(table: str, by: str) -> str:
    """Return the assignments that add a sum, as `_split` returns it, to one of a table."""
    remainder = f"(mod({table}.{{name}}, {CARRY_BASE}) + {by}.{{name}})"
    carries = f"{table}.{{name}} / {CARRY_BASE} + {remainder} / {CARRY_BASE}"
    return (
        f"{{name}} = mod({remainder}, {CARRY_BASE}), "
        f"{{carry}} = coalesce({table}.{{carry}}, 0) + {by}.{{carry}} + {carries}"
    )


# `removed_…` is the best value that a new version of a window does not have any more.
_DIFFERENCES: Final = (
    "sum({name} - old_{name})::bigint AS {name}",
    (
        "{best}(new_{name}) AS {name}, {best}(old_{name}) "
        "FILTER (WHERE coalesce(new_{name} {is_worse} old_{name}, true)) AS removed_{name}"
    ),
)

# Where a new generation has removed the best value, the next one is found in the windows, by
# another statement (restore_extremes.sql): until then there is none.
_MOVED: Final = (
    "{name} = {of[totals]} + by.{name}",
    (
        "{name} = CASE WHEN by.removed_{name} {reaches} totals.{name} THEN NULL "
        "ELSE {better_of}(totals.{name}, by.{name}) END"
    ),
)

DIFFERENCE_LISTS: Final = {
    "differences": sql.SQL(measure_list(*_DIFFERENCES)),
    "moved_measures": sql.SQL(measure_list(*_MOVED)),
}
"""How reconcile.sql moves totals by the differences of windows."""

WIDE_DIFFERENCE_LISTS: Final = {
    "differences": sql.SQL(
        measure_list(*_DIFFERENCES, total=_split("sum({name}) - sum(old_{name})"))
    ),
    "moved_measures": sql.SQL(measure_list(*_MOVED, total=_added("totals", "by"))),
}
"""The same where something exceeds a bigint: of sums, carries are moved as well."""


MEASURE_LISTS: Final = {
    "measures": measure_list("{name}"),
    "known_measures": measure_list("{column} AS {name}"),
    "measure_columns": ", ".join(
        f"{each.name} bigint" if each.added else f"{each.name} bigint NOT NULL" for each in MEASURES
    ),
    "added_columns": ", ".join(f"ADD COLUMN IF NOT EXISTS {each.name} bigint" for each in ADDED),
    "measures_of_totals": measure_list("{name}", total="{name}, {carry}"),
    "total_columns": measure_list("{name} bigint"),
    "rollup_columns": measure_list("{name} bigint", total="{name} bigint, {carry} bigint"),
    "sketch_columns": "".join(f", {each.name} bytea" for each in SKETCHES),
    # The start is in the views since migration 4.
    "added_in_units": "".join(
        f", {_in_units(each)} AS {each.name}" for each in ADDED if each.name not in STARTS
    ),
    "new_measures": measure_list("new.{name}"),
    "old_measures": measure_list("{of[old]}"),
    # What reconcile.sql needs of the windows before and after: sums, 0 where there was none;
    # minima and maxima, null where they do not count.
    "measures_before": measure_list(
        "coalesce({of[old]}, 0) AS old_{name}",
        "CASE WHEN new.trip_count > 0 THEN new.{name} END AS new_{name}, "
        "CASE WHEN old.trip_count > 0 THEN {of[old]} END AS old_{name}",
    ),
    "accepted_measures": measure_list("{name} = accepted.{name}"),
    "lost_extremes": "(false"
    + "".join(f" OR (by.removed_{name} IS NOT NULL AND totals.{name} IS NULL)" for name in EXTREMES)
    + ")::integer",
    "extremes": ", ".join(EXTREMES),
    "found_extremes": ", ".join(f"{name} = found.{name}" for name in EXTREMES),
    "extremes_of_windows": measure_list(
        "", "{best}({column}) AS {name}", [each for each in MEASURES if each.name in EXTREMES]
    ),
    "moved_by_new_windows": measure_list(
        "{name} = {of[totals]} + excluded.{name}",
        "{name} = {better_of}(totals.{name}, excluded.{name})",
    ),
    "merged_measures": measure_list(
        "sum({column})::bigint AS {name}",
        "{best}({column}) FILTER (WHERE trip_count > 0) AS {name}",
        total=_split("sum({name})"),
    ),
    "merged_rollups": measure_list(
        "sum({column})::bigint AS {name}",
        "{best}({column}) AS {name}",
        total=_split(f"(sum({{name}}) + coalesce(sum({{carry}}), 0) * {CARRY_BASE})"),
    ),
    "added_to_before": measure_list(
        "{name} = before.{name} + excluded.{name}",
        "{name} = {better_of}(before.{name}, excluded.{name})",
        total=_added("before", "excluded"),
    ),
    "totals_of_ids": measure_list("{whole_of[totals]} AS {name}"),
    "totals_after": measure_list("moved.{name}"),
}


def sketch_lists(sketches: Iterable[Sketch]) -> dict[str, sql.Composable]:
    """Return the lists of the sketches that a ledger has columns of, each with a comma before it.

    One that the staged windows lack is null there: it is not known of them.
    """
    templates = {
        "sketches": ", {name}",
        "new_sketches": ", new.{name}",
        "old_sketches": ", old.{name}",
        "accepted_sketches": ", {name} = accepted.{name}",
    }
    names = [sql.Identifier(each.name) for each in sketches]
    return {
        key: sql.Composed([sql.SQL(template).format(name=name) for name in names])
        for key, template in templates.items()
    }
