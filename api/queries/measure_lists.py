"""The lists of measures in the SQL files of this package."""

from typing import Final

from mobility.measure_lists import measure_list
from mobility.measures import ADDITIVE

ALL: Final = "all_"
"""The prefix of the sums of all ids in top.sql."""

PERCENTILES_OF: Final = "percentiles_of_"
"""The prefix of the percentiles of a sum in summary.sql."""

MEASURE_LISTS: Final = {
    "totals_of_ids": measure_list("{whole} AS {name}"),
    "additive": measure_list("{column} AS {name}", measures=ADDITIVE),
    "additive_of_totals": measure_list("{whole} AS {name}", measures=ADDITIVE),
    "additive_of_first": measure_list("first.{name}", measures=ADDITIVE),
    # Sums of amounts can exceed a bigint: they are numeric, here and below.
    "additive_of_windows": measure_list(
        "sum({column})::bigint AS {name}", measures=ADDITIVE, total="sum({name}) AS {name}"
    ),
    # A window without trips, which a backfill can leave, has no start.
    "measures_of_windows": measure_list(
        "sum({column})::bigint AS {name}",
        "{best}({column}) FILTER (WHERE trip_count > 0) AS {name}",
        total="sum({name}) AS {name}",
    ),
    "additive_of_ids": measure_list("coalesce(sum({name}), 0) AS {name}", measures=ADDITIVE),
    "all_additive_of_ids": measure_list(
        f"coalesce(sum({{name}}), 0) AS {ALL}{{name}}", measures=ADDITIVE
    ),
    "percentiles": measure_list(
        "percentile_disc(%(shares)s::float8[]) WITHIN GROUP (ORDER BY {name}) "
        f"AS {PERCENTILES_OF}{{name}}",
        measures=ADDITIVE,
    ),
}
