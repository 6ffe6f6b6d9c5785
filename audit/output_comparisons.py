"""Comparisons of every output of the system with the oracle."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import polars as pl

from audit.comparison import OutputComparison, compare
from audit.export import in_units
from audit.oracle import OracleResult, ValidatedLog
from audit.trips_file import COPY, number_copies
from audit.validation import TRIP_SCHEMA
from mobility.keys import LAST_WINDOW
from mobility.measures import COUNT_OF, MEASURE_SCHEMA, OPTIONAL
from mobility.settings import Settings
from mobility.topics import trips_topic

_ID: Final = ("entity", "id")
_WINDOW: Final = (*_ID, "window_start")
_MEASURES: Final = tuple(MEASURE_SCHEMA)
_MEANS: Final = ("avg_duration",)
_SOURCE_POSITION: Final = ("topic", "partition", "offset")

FLOW_COUNTERS: Final = ("read", "counted", "late", "dead", "duplicates", "punctuations")


def compare_log_with_files(log: ValidatedLog, trips: pl.DataFrame) -> OutputComparison:
    """Compare the log with the trips of the files: the log must have each of them once."""
    sent = log.rows.filter(pl.col("watermark").is_null())
    return compare(
        "log, compared with the files",
        number_copies(trips),
        number_copies(sent.select(TRIP_SCHEMA.names())),
        keys=[*TRIP_SCHEMA.names(), COPY],
    )


def compare_windows(
    output: str,
    expected: OracleResult,
    found: pl.DataFrame,
    *,
    means: Sequence[str] = _MEANS,
    sketches: Sequence[str] = (),
) -> OutputComparison:
    """Compare the windows of a store or topic, in micro-units.

    `means` and `sketches` are those that it has.
    """
    fields = ("window_end", *_MEASURES, *sketches)
    return compare(output, expected.windows, found, keys=_WINDOW, fields=fields, means=means)


def compare_totals(output: str, expected: OracleResult, found: pl.DataFrame) -> OutputComparison:
    """Compare the totals per id of a store, in micro-units."""
    return compare(output, expected.totals, found, keys=_ID, fields=_MEASURES, means=_MEANS)


def compare_follower_totals(
    expected: OracleResult, found: pl.DataFrame, behind: Sequence[str]
) -> OutputComparison:
    """Compare the totals of the ids that a follower has, with the start of their newest window.

    Entities that it is `behind` with are left out, and the name of the output says so.
    """
    newest = expected.windows.group_by(_ID).agg(pl.col("window_start").max().alias(LAST_WINDOW))
    totals = expected.totals.join(newest, on=_ID).join(found, on=_ID, how="semi")
    is_compared = ~pl.col("entity").is_in(behind)
    return compare(
        f"Redis totals, {len(behind)} entities behind" if behind else "Redis totals",
        totals.filter(is_compared),
        found.filter(is_compared),
        keys=_ID,
        fields=(*_MEASURES, LAST_WINDOW),
        means=_MEANS,
    )


def compare_api_totals(expected: OracleResult, found: pl.DataFrame) -> OutputComparison:
    """Compare the totals that the API answers: the doubles nearest to the exact amounts.

    It answers null for a sum of what none of the trips has.
    """
    totals = in_units(expected.totals).with_columns(
        pl.when(pl.col(COUNT_OF[name]) > 0).then(name).alias(name) for name in OPTIONAL
    )
    return compare("API, each id", totals, found, keys=_ID, fields=_MEASURES, means=_MEANS)


def compare_api_ids(expected: OracleResult, found: pl.DataFrame) -> OutputComparison:
    """Compare the ids and trip counts that the API lists page by page."""
    return compare("API, pages of ids", expected.totals, found, keys=_ID, fields=["trip_count"])


def compare_redis_index(expected: OracleResult, found: pl.DataFrame) -> OutputComparison:
    """Compare the ids in the indexes of Redis as the only store."""
    return compare("Redis index", expected.totals, found, keys=_ID)


def compare_late_trips(
    expected: OracleResult, found: pl.DataFrame, settings: Settings
) -> OutputComparison:
    """Compare the source positions in `trips_late`, which is delivered at least once."""
    positions = _source_positions(expected, "late", settings)
    found = found.unique(_SOURCE_POSITION)
    return compare("trips_late", positions, found, keys=_SOURCE_POSITION)


def compare_dead_letters(
    expected: OracleResult, log: ValidatedLog, found: pl.DataFrame, settings: Settings
) -> OutputComparison:
    """Compare source positions, reasons and bytes in `trips_dlq`, delivered at least once."""
    positions = _source_positions(expected, "dead", settings)
    letters = positions.join(log.dead_letters, on=["partition", "offset"])
    fields = ("error", "value")
    return compare("trips_dlq", letters, found, keys=_SOURCE_POSITION, fields=fields)


def compare_flow_counters(expected: OracleResult, status_folder: Path) -> OutputComparison:
    """Compare the counters of the flow's processes, in `flow-*.json` of a folder."""
    counters = {
        "read": expected.messages.height,
        "counted": expected.count("counted"),
        "late": expected.count("late"),
        "dead": expected.count("dead"),
        "duplicates": expected.count("duplicate"),
        "punctuations": expected.count("punctuation"),
    }
    return compare(
        "counters of the flow",
        _counter_frame(counters),
        _counter_frame(read_flow_counters(status_folder)),
        keys=["counter"],
        fields=["count"],
    )


def read_flow_counters(status_folder: Path) -> dict[str, int]:
    """Return the counters summed over the flow's processes; empty before one has written."""
    paths = sorted(status_folder.glob("flow-*.json"))
    processes = [json.loads(path.read_bytes()) for path in paths]
    return {name: sum(each[name] for each in processes) for name in FLOW_COUNTERS if processes}


def _counter_frame(counters: dict[str, int]) -> pl.DataFrame:
    schema = {"counter": pl.String, "count": pl.Int64}
    return pl.DataFrame(list(counters.items()), schema=schema, orient="row")


def _source_positions(expected: OracleResult, outcome: str, settings: Settings) -> pl.DataFrame:
    return expected.messages.filter(pl.col("outcome") == outcome).select(
        pl.lit(trips_topic(settings)).alias("topic"),
        "partition",
        "offset",
        pl.col("reason").alias("error"),
    )
