"""Every place of the system held against the oracle."""

import json
from pathlib import Path
from typing import Final

import polars as pl

from audit.differences import Comparison, compare
from audit.export import in_units
from audit.oracle import Answer, Log
from audit.trips_file import COPY, numbered, read_trips
from audit.verdicts import TRIP_SCHEMA
from mobility.records import STARTS, TOTALS
from mobility.settings import Settings
from mobility.topics import trips_topic

_ID: Final = ("entity", "id")
_WINDOW: Final = (*_ID, "window_start")
_SUMS: Final = ("trip_count", *TOTALS, *STARTS)
_MEANS: Final = ("avg_duration",)
_POSITION: Final = ("topic", "partition", "offset")

COUNTERS: Final = ("read", "counted", "late", "dead", "duplicates", "punctuations")


def against_file(log: Log, file: Path) -> Comparison:
    """Compare the log with the file it was made from: each row is in it once."""
    sent = log.rows.filter(pl.col("watermark").is_null())
    return compare(
        "log against the file",
        numbered(read_trips(file)),
        numbered(sent.select(TRIP_SCHEMA.names())),
        keys=[*TRIP_SCHEMA.names(), COPY],
    )


def windows_at(place: str, answer: Answer, found: pl.DataFrame) -> Comparison:
    """Compare windows that a place holds, in micro-units."""
    fields = ("window_end", *_SUMS)
    return compare(place, answer.windows, found, keys=_WINDOW, fields=fields, means=_MEANS)


def totals_at(place: str, answer: Answer, found: pl.DataFrame) -> Comparison:
    """Compare an id's totals that a place holds, in micro-units."""
    return compare(place, answer.totals, found, keys=_ID, fields=_SUMS, means=_MEANS)


def served(answer: Answer, found: pl.DataFrame) -> Comparison:
    """Compare the totals that the API answers: the doubles nearest to the exact amounts."""
    expected = in_units(answer.totals)
    return compare("API, each id", expected, found, keys=_ID, fields=_SUMS, means=_MEANS)


def listed(answer: Answer, found: pl.DataFrame) -> Comparison:
    """Compare the ids and counts on the API's pages."""
    return compare("API, pages of ids", answer.totals, found, keys=_ID, fields=["trip_count"])


def indexed(answer: Answer, found: pl.DataFrame) -> Comparison:
    """Compare the ids in the indexes of Redis."""
    return compare("Redis index", answer.totals, found, keys=_ID)


def late_trips(answer: Answer, found: pl.DataFrame, settings: Settings) -> Comparison:
    """Compare the positions in `trips_late`, which is delivered at least once."""
    expected = _positions(answer, "late", settings)
    found = found.unique(_POSITION)
    return compare("trips_late", expected, found, keys=_POSITION)


def dead_letters(answer: Answer, log: Log, found: pl.DataFrame, settings: Settings) -> Comparison:
    """Compare positions, reasons and original bytes in `trips_dlq`, delivered at least once."""
    expected = _positions(answer, "dead", settings).join(log.dead, on=["partition", "offset"])
    fields = ("error", "value")
    return compare("trips_dlq", expected, found, keys=_POSITION, fields=fields)


def counters(answer: Answer, status: Path) -> Comparison:
    """Compare what the processes of the flow counted themselves, in `flow-*.json` of a folder."""
    expected = {
        "read": answer.messages.height,
        "counted": answer.count("counted"),
        "late": answer.count("late"),
        "dead": answer.count("dead"),
        "duplicates": answer.count("duplicate"),
        "punctuations": answer.count("punctuation"),
    }
    return compare(
        "the flow's counters",
        _counts(expected),
        _counts(flow_counters(status)),
        keys=["counter"],
        fields=["count"],
    )


def flow_counters(status: Path) -> dict[str, int]:
    """Return the sums over the flow's processes; nothing where none has written yet."""
    processes = [json.loads(path.read_bytes()) for path in sorted(status.glob("flow-*.json"))]
    return {name: sum(each[name] for each in processes) for name in COUNTERS if processes}


def _counts(counts: dict[str, int]) -> pl.DataFrame:
    schema = {"counter": pl.String, "count": pl.Int64}
    return pl.DataFrame(list(counts.items()), schema=schema, orient="row")


def _positions(answer: Answer, verdict: str, settings: Settings) -> pl.DataFrame:
    return answer.messages.filter(pl.col("verdict") == verdict).select(
        pl.lit(trips_topic(settings)).alias("topic"),
        "partition",
        "offset",
        pl.col("reason").alias("error"),
    )
