"""`python -m audit.sampling`: recompute complete windows from the log and compare them.

Works on a running system: it reads, and writes nothing.
"""

import argparse
import os
import secrets
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl
import psycopg
import redis
from rich.console import Console

from audit.aggregated_topics import AggregatedTopics
from audit.audited_follower import AuditedFollower
from audit.audited_postgres import AuditedPostgres
from audit.audited_redis import AuditedRedis
from audit.audited_stores import (
    AuditedRange,
    AuditedStore,
    EntityWatermarks,
    FingerprintError,
    delivered_watermarks,
)
from audit.backfill_records import RECORDS_FOLDER, open_records
from audit.comparison import DIFFERENCE_KINDS
from audit.incremental_topic_reader import IncrementalTopicReader, TopicChangedError
from audit.recomputation import WindowRecomputation
from audit.recount_reading import RecountReading
from audit.recounts import Recounts, applied_among
from audit.report import new_table, print_differences
from audit.rounds import AuditRound, CheckResult
from audit.rules_in_force import read_rules_in_force
from audit.window_sample import WindowSample, keep_highest_versions, merge_partials
from broker.errors import BrokerError
from mobility.arguments import integer_from, positive_int, time_ms
from mobility.entities import BY_NAME, Entity
from mobility.records import MAX_EVENT_TIME, MIN_EVENT_TIME
from mobility.rules_journal import NOT_KNOWN
from mobility.settings import Settings, SettingsError, Store, read_settings
from mobility.times import iso_time
from mobility.topics import trips_topic
from postgres.server_check import UnsuitableServerError

FAILURES: Final = (
    BrokerError,
    TimeoutError,
    TopicChangedError,
    ValueError,
    pl.exceptions.PolarsError,
    psycopg.Error,
    redis.RedisError,
)
_DEFAULT_WINDOWS: Final = 250
_GROUPS: Final = ("entity",)
_SHOWN_KINDS: Final = [kind for kind in DIFFERENCE_KINDS if kind != "repeated"]
"""A window is read once from each store and topic, so none is repeated."""


@dataclass(frozen=True, slots=True)
class AuditOptions:
    """The command line: `windows` per entity, None for all."""

    windows: int | None
    seed: int
    entities: tuple[str, ...]
    window_range: AuditedRange
    records: Path


def main(arguments: Sequence[str] | None = None) -> int:
    """Run an audit; return 0 without differences, 2 for a wrong call, else 1."""
    options = _parse_options(arguments)
    console, errors = Console(), Console(stderr=True, soft_wrap=True, markup=False, highlight=False)
    try:
        settings = read_settings(os.environ)
    except SettingsError as error:
        errors.print(f"The settings can't be used:\n{error}")
        return 2
    try:
        results, recomputed = run_audit(options, settings, console)
    except (FingerprintError, UnsuitableServerError) as error:
        errors.print(str(error))
        return 2
    except FAILURES as error:
        errors.print(f"audit stopped: {error}")
        return 1
    except KeyboardInterrupt:
        errors.print("audit interrupted")
        return 130
    _print_report(results, recomputed, options, console)
    return 1 if any(result.comparison.differences for result in results) else 0


def _audited_delta(settings: Settings) -> AuditedStore:
    from audit.audited_delta import AuditedDelta  # noqa: PLC0415 - deltalake is optional

    return AuditedDelta(settings)


_AUDITED: Final[Mapping[Store, Callable[[Settings], AuditedStore]]] = {
    "postgres": AuditedPostgres,
    "redis": AuditedRedis,
    "delta": _audited_delta,
}
"""How the windows of each store are read."""


def configured_stores(settings: Settings) -> list[AuditedStore]:
    """Return the stores of the settings that have the windows: Redis does not as a follower."""
    return [_AUDITED[store](settings) for store in settings.authorities]


def configured_follower(settings: Settings) -> AuditedFollower | None:
    """Return Redis as a follower, where the settings name Postgres as well."""
    return AuditedFollower(settings) if settings.is_followed else None


def run_audit(
    options: AuditOptions, settings: Settings, console: Console
) -> tuple[list[CheckResult], WindowRecomputation]:
    """Recompute a sample of the log's windows and compare it with every store and topic."""
    stores = configured_stores(settings)
    # Watermarks first, then the log: what is complete by the watermarks is in the log then.
    watermarks = [store.progress() for store in stores]
    delivered = delivered_watermarks(settings)
    # Records, then topics and stores: what is applied is in them then, and was read from the log.
    folder = open_records(options.records, settings)
    records = folder.read()
    window_range = _limit_range(options.window_range, [*watermarks, delivered], settings)
    log = IncrementalTopicReader(settings, trips_topic(settings))
    try:
        sample = WindowSample(options.windows, options.seed, _GROUPS, merge_partials)
        rules = read_rules_in_force(settings)
        recomputed = WindowRecomputation(log, sample, settings, window_range, rules)
        with console.status("reading the log") as status:
            number = 0
            for read in recomputed.read_to(log.ends()):
                number += read
                status.update(f"reading the log: {number:,} messages")
    finally:
        log.close()
    from_topics = WindowSample(options.windows, options.seed, _GROUPS, keep_highest_versions)
    entities = [BY_NAME[name] for name in options.entities]
    with console.status("reading topics"):
        truncated_until = _read_topics(settings, entities, from_topics, recomputed.complete_range)
    reading = RecountReading(
        applied_among(records),
        folder,
        settings,
        recomputed.complete_range,
        lambda windows: from_topics.keep_sampled(recomputed.sample.keep_sampled(windows)),
    )
    with console.status("reading again what backfills have read") as status:
        recounted = reading.run(
            lambda number: status.update(f"what backfills have read: {number:,} messages")
        )
    audit_round = AuditRound(
        recomputed.sample,
        from_topics,
        recomputed.complete_range,
        stores,
        watermarks,
        delivered,
        truncated_until,
        settings,
        Recounts(folder, records, recounted),
        recomputed.rules,
        configured_follower(settings),
    )
    with console.status("reading stores"):
        results = audit_round.run(entities, all_ids=options.windows is None)
    return results, recomputed


def _read_topics(
    settings: Settings,
    entities: list[Entity],
    sample: WindowSample,
    window_range: AuditedRange,
) -> int:
    """Read the windows of `aggregated.*`; return up to when some may be missing (epoch ms)."""
    topics = AggregatedTopics(settings, entities, sample)
    try:
        for _ in topics.read(window_range):
            pass
    finally:
        topics.close()
    return topics.truncated_until


def _limit_range(
    window_range: AuditedRange, watermarks: Sequence[EntityWatermarks], settings: Settings
) -> AuditedRange:
    """Leave out windows that are complete nowhere, so that the sample has none of them."""
    known = [watermark for entities in watermarks for watermark in entities.values()]
    if not known:
        return window_range
    last = max(known) - settings.open_ms - 1
    return AuditedRange(window_range.first, min(window_range.last, last))


def _print_report(
    results: Sequence[CheckResult],
    recomputed: WindowRecomputation,
    options: AuditOptions,
    console: Console,
) -> None:
    rows = new_table("windows", "output", "compared", "backfilled", "pending", *_SHOWN_KINDS)
    for result in results:
        found = result.comparison
        counts = [f"{found.counts[kind]:,}" for kind in _SHOWN_KINDS]
        style = "red" if found.differences else None
        others = (f"{result.backfilled:,}", f"{result.pending:,}")
        rows.add_row(found.output, f"{found.expected:,}", *others, *counts, style=style)
    console.print(rows)
    complete = recomputed.complete_range
    starts = recomputed.window_starts
    lost = sum(start <= recomputed.truncated_until for start in starts)
    incomplete = sum(start > complete.last for start in starts)
    first, last = _format_time(complete.first), _format_time(complete.last)
    lines = [f"seed {options.seed}; windows from {first} to {last}"]
    if lost:
        lines.append(
            f"not compared, because retention deleted the beginning of the log: {lost:,} "
            "window starts"
        )
    if recomputed.rules is None:
        lines.append(NOT_KNOWN)
    if incomplete:
        lines.append(f"not complete yet, or after --until: {incomplete:,} window starts")
    reasons = dict(pair for result in results for pair in result.left_out.items())
    lines += [f"not compared, because {reason}" for reason in reasons]
    if not any(result.comparison.expected for result in results):
        lines.append("nothing was compared: no window is complete in the log and in a store")
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    print_differences([result.comparison for result in results], console)


def _format_time(ms: int) -> str:
    if not MIN_EVENT_TIME < ms < MAX_EVENT_TIME:
        return "the beginning" if ms <= MIN_EVENT_TIME else "the end"
    return iso_time(ms)


def _parse_options(arguments: Sequence[str] | None) -> AuditOptions:
    parser = argparse.ArgumentParser(prog="just audit", description=__doc__)
    add = parser.add_argument
    size = parser.add_mutually_exclusive_group()
    size.add_argument(
        "--windows",
        metavar="N",
        type=positive_int,
        default=_DEFAULT_WINDOWS,
        help="windows per entity (%(default)s)",
    )
    size.add_argument("--all", action="store_true", help="every complete window")
    add(
        "--seed",
        type=integer_from(0),
        help="draw the same sample again (default: a random seed, printed)",
    )
    add("--entity", action="append", choices=list(BY_NAME), help="this entity; can be repeated")
    add("--since", metavar="TIME", type=time_ms, default=MIN_EVENT_TIME, help="first window start")
    add("--until", metavar="TIME", type=time_ms, default=MAX_EVENT_TIME, help="last window start")
    add(
        "--records",
        metavar="DIR",
        type=Path,
        default=RECORDS_FOLDER,
        help="the folder of the records of backfills (%(default)s)",
    )
    found = parser.parse_args(arguments)
    return AuditOptions(
        windows=None if found.all else found.windows,
        seed=secrets.randbelow(1_000_000) if found.seed is None else found.seed,
        entities=tuple(found.entity or BY_NAME),
        window_range=AuditedRange(found.since, found.until),
        records=found.records,
    )


if __name__ == "__main__":
    sys.exit(main())
