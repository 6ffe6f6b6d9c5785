"""How windows and totals move when new versions of windows arrive, as frames.

For stores that can't do it themselves: they read what they hold of the windows and ids of a batch,
and write what this returns.
"""

from dataclasses import dataclass
from typing import Final

import polars as pl

from mobility.keys import LAST_WINDOW
from mobility.measures import EXTREMES, MEASURES, SUMS, Measure
from mobility.records import WINDOW_SCHEMA
from mobility.totals import WINDOW_KEY, highest_versions, running_totals
from sinks.store import TOUCHED_SCHEMA

_OLD: Final = "_old"
_HAS_TRIPS: Final = pl.col("trip_count") > 0
_HAD_TRIPS: Final = pl.col(f"trip_count{_OLD}") > 0


@dataclass(frozen=True, slots=True)
class Reconciled:
    """What a batch changes.

    `windows` (WINDOW_SCHEMA) replace those with the same key; `totals` (TOUCHED_SCHEMA) are those
    of their ids after that. `uncertain` are the ids of which a window lost the minimum or maximum:
    only all their windows tell what it is now. `too_old` are windows older than the ledger.
    """

    windows: pl.DataFrame
    totals: pl.DataFrame
    uncertain: pl.Series
    too_old: int


@dataclass(frozen=True, slots=True)
class Pruned:
    """What the ledgers of some ids are without the windows that became too old.

    `removed` (id, window_start) leave the ledger; `before` (WINDOW_SCHEMA, its start null) has an
    id's removed windows as one, for those ids that have any; `totals` (TOUCHED_SCHEMA) are exact.
    """

    removed: pl.DataFrame
    before: pl.DataFrame
    totals: pl.DataFrame


def reconcile(
    rows: pl.DataFrame, windows: pl.DataFrame, totals: pl.DataFrame, retention: int
) -> Reconciled:
    """Return what `rows` (WINDOW_SCHEMA, one row a window) change.

    `windows` (WINDOW_SCHEMA) are the versions of these windows that are held, `totals`
    (TOUCHED_SCHEMA) those of their ids. A window that starts over `retention` ms before the newest
    one held of its id is not counted: it may have been counted and removed.
    """
    newest = totals.select("id", LAST_WINDOW)
    is_too_old = pl.col("window_start") < pl.col(LAST_WINDOW) - retention
    young = rows.join(newest, on="id", how="left", maintain_order="left").filter(
        ~is_too_old.fill_null(value=False)
    )
    young = young.select(WINDOW_SCHEMA.names())
    replacing = accepted_windows(windows, young)
    accepted = young.join(replacing, on=WINDOW_KEY, how="semi", maintain_order="left")
    pairs = accepted.join(windows, on=WINDOW_KEY, how="left", suffix=_OLD, maintain_order="left")
    moved = _moved(pairs, totals)
    return Reconciled(
        accepted,
        moved.select(TOUCHED_SCHEMA.names()).cast(TOUCHED_SCHEMA),
        moved.filter(pl.any_horizontal(f"lost_{name}" for name in EXTREMES))["id"],
        rows.height - young.height,
    )


def prune(windows: pl.DataFrame, retention: int) -> Pruned:
    """Return the ledgers of some ids without windows that are too old, from all their windows.

    Those that were removed before are one of them, whose start is null.
    """
    newest = windows.group_by("id").agg(pl.col("window_start").max().alias(LAST_WINDOW))
    aged = windows.join(newest, on="id").with_columns(
        is_old=pl.col("window_start") < pl.col(LAST_WINDOW) - retention
    )
    removed = aged.filter("is_old").select(WINDOW_KEY)
    before = aged.filter(
        pl.col("is_old").fill_null(value=True) & pl.col("id").is_in(removed["id"].implode())
    )
    return Pruned(
        removed,
        as_windows(running_totals(before)),
        running_totals(windows)
        .join(newest, on="id")
        .select(TOUCHED_SCHEMA.names())
        .cast(TOUCHED_SCHEMA),
    )


def accepted_windows(stored: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
    """Return which of the rows replace what is stored, or are new (all WINDOW_SCHEMA).

    For a store that reads before it writes. `stored` may have other windows as well.
    """
    concerned = stored.join(rows, on=WINDOW_KEY, how="semi")
    highest = highest_versions(pl.concat([concerned, rows]))
    return highest.join(concerned, on=highest.columns, how="anti", nulls_equal=True)


def as_windows(values: pl.DataFrame) -> pl.DataFrame:
    """Return ids and measures as windows (WINDOW_SCHEMA): what they lack is null."""
    missing = (pl.lit(None).alias(name) for name in WINDOW_SCHEMA if name not in values.columns)
    return values.with_columns(missing).select(WINDOW_SCHEMA.names()).cast(WINDOW_SCHEMA)


def _moved(accepted: pl.DataFrame, totals: pl.DataFrame) -> pl.DataFrame:
    """Return the totals of ids after windows were accepted, and which extremes were lost."""
    of_ids = accepted.group_by("id", maintain_order=True).agg(
        *(
            (pl.col(name) - pl.col(name + _OLD).fill_null(0)).cast(WINDOW_SCHEMA[name]).sum()
            for name in SUMS
        ),
        *(expr for each in MEASURES if each.name in EXTREMES for expr in _extremes(each)),
        pl.col("window_start").max().alias(LAST_WINDOW),
    )
    both = of_ids.join(totals, on="id", how="left", suffix=_OLD, maintain_order="left")
    return both.select(
        "id",
        *(pl.col(name) + pl.col(name + _OLD).fill_null(0) for name in SUMS),
        *(_best(each, each.name, each.name + _OLD) for each in MEASURES if each.name in EXTREMES),
        pl.max_horizontal(LAST_WINDOW, LAST_WINDOW + _OLD).alias(LAST_WINDOW),
        *(
            pl.col(f"lost_{name}").eq(pl.col(name + _OLD)).fill_null(value=False)
            for name in EXTREMES
        ),
    )


def _extremes(measure: Measure) -> tuple[pl.Expr, pl.Expr]:
    """Return the best new value of an id's windows, and the best one that they do not reach now."""
    new, old = pl.col(measure.name), pl.col(measure.name + _OLD)
    reaches = _HAS_TRIPS & (new <= old if measure.kind == "min" else new >= old)
    found = new.filter(_HAS_TRIPS)
    lost = old.filter(_HAD_TRIPS & ~reaches.fill_null(value=False))
    if measure.kind == "min":
        return found.min(), lost.min().alias(f"lost_{measure.name}")
    return found.max(), lost.max().alias(f"lost_{measure.name}")


def _best(measure: Measure, *columns: str) -> pl.Expr:
    best = pl.min_horizontal if measure.kind == "min" else pl.max_horizontal
    return best(columns).alias(measure.name)
