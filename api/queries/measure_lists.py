"""The lists of measures in the SQL files of this package."""

from typing import Final

from mobility.measure_lists import CARRY_BASE, measure_list
from mobility.measures import ADDITIVE

ALL: Final = "all_"
"""The prefix of the sums of all ids in top.sql."""

PERCENTILES_OF: Final = "percentiles_of_"
"""The prefix of the percentiles of a sum in summary.sql."""

_SUM: Final = f"sum({{name}}) + coalesce(sum({{carry}}), 0) * {CARRY_BASE}"
"""A sum whose carries are added up apart, which are rare: each amount by itself takes longer."""

MEASURE_LISTS: Final = {
    "totals_of_ids": measure_list("{whole} AS {name}"),
    "additive": measure_list("{name}", measures=ADDITIVE),
    # Windows have the columns of rollups: of a sum two.
    "measures_of_ledger": measure_list(
        "{column} AS {name}", total="{name}, NULL::bigint AS {carry}"
    ),
    "measures_of_rollup": measure_list("{column} AS {name}", total="{name}, {carry}"),
    "totals_with_carries": measure_list(
        "{column} AS {name}", measures=ADDITIVE, total="{name}, {carry}"
    ),
    "additive_of_totals": measure_list("{whole} AS {name}", measures=ADDITIVE),
    "additive_of_first": measure_list("first.{name}", measures=ADDITIVE),
    # Sums of amounts can exceed a bigint: they are numeric, here and below.
    "additive_of_windows": measure_list(
        "sum({name})::bigint AS {name}", measures=ADDITIVE, total=f"{_SUM} AS {{name}}"
    ),
    "additive_of_rows": measure_list(
        "coalesce(sum({name}), 0) AS {name}",
        measures=ADDITIVE,
        total=f"coalesce({_SUM}, 0) AS {{name}}",
    ),
    "measures_of_windows": measure_list(
        "sum({name})::bigint AS {name}", "{best}({name}) AS {name}", total=f"{_SUM} AS {{name}}"
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
