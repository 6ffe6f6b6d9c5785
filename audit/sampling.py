"""`python -m audit.sampling`: windows that are over, counted again from the log and compared.

Works on a running system: it reads, and writes nothing.
"""

import argparse
import os
import secrets
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl
import psycopg
import redis
from confluent_kafka import KafkaException
from rich.console import Console

from audit.checks import Check, Round
from audit.differences import KINDS
from audit.places import OtherSettingsError, Place, Progress, Span, delivered
from audit.postgres_ledger import PostgresLedger
from audit.published import Published
from audit.recount import Recount, recount
from audit.redis_ledger import RedisLedger
from audit.report import show_differences, table
from audit.sample import Sample, added, newest
from audit.tail import Tail, TailError
from audit.times import epoch_ms
from mobility.entities import BY_NAME
from mobility.records import MAX_EVENT_TIME, MIN_EVENT_TIME
from mobility.settings import Settings, SettingsError, read_settings
from mobility.times import iso_time
from mobility.topics import trips_topic

FAILURES: Final = (
    KafkaException,
    TailError,
    TimeoutError,
    ValueError,
    pl.exceptions.PolarsError,
    psycopg.Error,
    redis.RedisError,
)
_WINDOWS: Final = 250
_GROUPS: Final = ("entity",)
_SHOWN: Final = [kind for kind in KINDS if kind != "repeated"]  # a window has one row anywhere


@dataclass(frozen=True, slots=True)
class Options:
    """The command line: `windows` of each entity, None for all; times in epoch ms."""

    windows: int | None
    seed: int
    entities: tuple[str, ...]
    span: Span


def main(arguments: Sequence[str] | None = None) -> int:
    """Run an audit; return 0 where nothing differs, 2 for a wrong call, else 1."""
    options = _parse(arguments)
    console, errors = Console(), Console(stderr=True, soft_wrap=True, markup=False, highlight=False)
    try:
        settings = read_settings(os.environ)
    except SettingsError as error:
        errors.print(f"The settings can't be used:\n{error}")
        return 2
    try:
        checks, counted = audit(options, settings, console)
    except OtherSettingsError as error:
        errors.print(str(error))
        return 2
    except FAILURES as error:
        errors.print(f"audit stopped: {error}")
        return 1
    except KeyboardInterrupt:
        errors.print("audit interrupted")
        return 130
    _show(checks, counted, options, console)
    return 1 if any(check.comparison.differences for check in checks) else 0


def stores(settings: Settings) -> list[Place]:
    """Return the stores that the settings name."""
    kinds: dict[str, type[PostgresLedger | RedisLedger]] = {
        "postgres": PostgresLedger,
        "redis": RedisLedger,
    }
    return [kinds[store](settings) for store in sorted(settings.stores)]


def audit(options: Options, settings: Settings, console: Console) -> tuple[list[Check], Recount]:
    """Count a sample of the log's windows again and hold it against every place."""
    places = stores(settings)
    # First how far everybody is, then the log: what is complete by these stands in it.
    marks, sent = [place.progress() for place in places], delivered(settings)
    span = _within(options.span, [*marks, sent], settings)
    tail = Tail(settings.kafka, trips_topic(settings))
    try:
        sample = Sample(options.windows, options.seed, _GROUPS, added)
        counted = recount(tail, sample, settings, span)
        with console.status("counting the log again") as status:
            number = 0
            for read in counted.follow(tail.ends()):
                number += read
                status.update(f"counting the log again: {number:,} messages")
    finally:
        tail.close()
    with console.status("asking topics and stores"):
        checks = _checks(options, settings, counted, places, marks, sent)
    return checks, counted


def _checks(
    options: Options,
    settings: Settings,
    counted: Recount,
    places: Sequence[Place],
    marks: Sequence[Progress],
    sent: Progress,
) -> list[Check]:
    sample = Sample(options.windows, options.seed, _GROUPS, newest)
    entities = [BY_NAME[name] for name in options.entities]
    published = Published(settings, entities, sample)
    try:
        for _ in published.follow(counted.whole):
            pass
    finally:
        published.close()
    look = Round(
        counted.sample, sample, counted.whole, places, marks, sent, published.reach, settings
    )
    return look.checks(entities, everything=options.windows is None)


def _within(span: Span, marks: Sequence[Progress], settings: Settings) -> Span:
    """Leave out what nobody claims to have whole, so that the sample is not spent on it."""
    claimed = [mark for progress in marks for mark in progress.values()]
    if not claimed:
        return span
    horizon = settings.window_ms + settings.allowed_lateness * 1_000
    return Span(span.first, min(span.last, max(claimed) - horizon - 1))


def _show(checks: Sequence[Check], counted: Recount, options: Options, console: Console) -> None:
    rows = table("windows", "place", "compared", "amended", "pending", *_SHOWN)
    for check in checks:
        found = check.comparison
        counts = [f"{found.counts[kind]:,}" for kind in _SHOWN]
        style = "red" if found.differences else None
        others = (f"{check.amended:,}", f"{check.pending:,}")
        rows.add_row(found.place, f"{found.expected:,}", *others, *counts, style=style)
    console.print(rows)
    whole = counted.whole
    lost = sum(start <= counted.reach for start in counted.starts)
    still = sum(start > whole.last for start in counted.starts)
    lines = [f"seed {options.seed}; windows from {_bound(whole.first)} to {_bound(whole.last)}"]
    if lost:
        lines.append(f"out of reach: {lost:,} window starts, as the log's beginning is gone")
    if still:
        lines.append(f"not over, or not asked for: {still:,} window starts")
    if not any(check.comparison.expected for check in checks):
        lines.append("nothing could be compared yet: no window is over in the log and in a place")
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    show_differences([check.comparison for check in checks], console)


def _bound(ms: int) -> str:
    if not MIN_EVENT_TIME < ms < MAX_EVENT_TIME:
        return "the beginning" if ms <= MIN_EVENT_TIME else "the end"
    return iso_time(ms)


def _parse(arguments: Sequence[str] | None) -> Options:
    parser = argparse.ArgumentParser(prog="just audit", description=__doc__)
    add = parser.add_argument
    size = parser.add_mutually_exclusive_group()
    size.add_argument(
        "--windows", metavar="N", type=_positive, default=_WINDOWS, help="of each entity (250)"
    )
    size.add_argument("--all", action="store_true", help="every window that is over")
    add("--seed", type=int, help="draw the same sample again (default: a new one, printed)")
    add("--entity", action="append", choices=list(BY_NAME), help="only this one; may be repeated")
    add("--since", metavar="TIME", type=_time, default=MIN_EVENT_TIME, help="first window start")
    add("--until", metavar="TIME", type=_time, default=MAX_EVENT_TIME, help="last window start")
    found = parser.parse_args(arguments)
    return Options(
        windows=None if found.all else found.windows,
        seed=secrets.randbelow(1_000_000) if found.seed is None else found.seed,
        entities=tuple(found.entity or BY_NAME),
        span=Span(found.since, found.until),
    )


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        msg = f"expected at least 1, is {text}"
        raise argparse.ArgumentTypeError(msg)
    return number


def _time(text: str) -> int:
    moment = epoch_ms(text)
    if moment is None:
        msg = f"expected ISO 8601 with a time, as 2025-01-31T12:00Z, is {text}"
        raise argparse.ArgumentTypeError(msg)
    return moment


if __name__ == "__main__":
    sys.exit(main())
