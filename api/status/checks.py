"""What is wrong, judged by what the processes say of themselves; each with what to do about it."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Final

from api.status.responses import Audit, Concern, Process, Severity
from mobility.settings import Settings

SILENT: Final = 5.0
"""Seconds after which a process that speaks every second counts as silent."""

_SHARE: Final = 0.01
_ENOUGH: Final = 1_000
_SNAPSHOTS: Final = 6


def concerns(
    processes: Iterable[Process],
    audit: Audit | None,
    as_of: Iterable[datetime | None],
    now: datetime,
    settings: Settings,
) -> Iterator[Concern]:
    """Yield what is wrong, errors and warnings mixed."""
    found = list(processes)
    if not found:
        yield Concern(
            severity="error",
            slug="silent-flow",
            what="No process of the flow has said anything for a minute",
            do="Start it (`just up`, or `just run -r DIR`), with the MOBILITY_STORES of this API",
        )
    for process in found:
        yield from _of_process(process)
        yield from _of_progress(process, now, settings)
    if audit is not None and audit.drift:
        yield Concern(
            severity="error",
            slug="drift",
            what=f"{audit.drift:,} windows differ from what the log says",
            do="`just audit` names them; `just backfill` counts windows again",
            process="audit",
        )
    yield from _of_watermarks(list(as_of), now, settings)


def _of_process(process: Process) -> Iterator[Concern]:
    if process.age > SILENT:
        yield _concern(
            process,
            "silent-process",
            f"{process.process} has said nothing for {process.age:.0f} s",
            f"See whether process {process.pid} runs on {process.host}, and what its log says",
            is_error=True,
        )
    if process.punctuations_refused:
        yield _concern(
            process,
            "punctuations-refused",
            "Kafka does not let the flow write punctuations: state of quiet partitions stays",
            "Allow the flow's user to write to the topic that it reads",
        )
    if process.partitions_unread:
        yield _concern(
            process,
            "partitions-unread",
            f"{process.partitions_unread} partitions were added and are not read",
            "Restart the flow",
        )
    if process.gaps:
        yield _concern(
            process,
            "gaps",
            f"{process.gaps} gaps in the log were accepted: their trips are in no total",
            "`gaps.ndjson` in the recovery folder says which; a backfill can count their trips",
        )
    yield from _of_outcomes(process)


def _of_outcomes(process: Process) -> Iterator[Concern]:
    counts = process.counts
    if counts.read < _ENOUGH:
        return
    if counts.late > _SHARE * counts.read:
        yield _concern(
            process,
            "many-late",
            f"{counts.late / counts.read:.1%} of the trips came late",
            "A feed that tells trips when they end wants MOBILITY_EVENT_TIME=end, any other a "
            "longer MOBILITY_ALLOWED_LATENESS; `just late list` shows them",
        )
    if counts.dead > _SHARE * counts.read:
        yield _concern(
            process,
            "many-dead",
            f"{counts.dead / counts.read:.1%} of the messages are no trips",
            "`just dlq list` shows them with their reasons",
        )


def _of_progress(process: Process, now: datetime, settings: Settings) -> Iterator[Concern]:
    if settings.ready_lag and process.lag > settings.ready_lag:
        yield _concern(
            process,
            "lag",
            f"{process.process} is {process.lag:,} messages behind the log",
            "It catches up while it reads more than is produced; else start more processes",
        )
    longest = max(60, _SNAPSHOTS * settings.snapshot_interval)
    if process.snapshot_at and (now - process.snapshot_at).total_seconds() > longest:
        yield _concern(
            process,
            "old-snapshot",
            f"{process.process} made its last snapshot at {process.snapshot_at:%H:%M:%S} UTC",
            "A store or the broker holds it up, or the disk of the recovery folder: see its log",
        )


def _of_watermarks(
    as_of: list[datetime | None], now: datetime, settings: Settings
) -> Iterator[Concern]:
    if None in as_of:
        yield Concern(
            severity="warning",
            slug="silent-shards",
            what="Not every shard has told how far it is: nothing counts as complete",
            do="Wait until each partition has spoken; one that never had a trip is in the way",
        )
    known = [watermark for watermark in as_of if watermark is not None]
    if settings.ready_age and known and (now - min(known)).total_seconds() > settings.ready_age:
        minutes = (now - min(known)).total_seconds() / 60
        yield Concern(
            severity="warning",
            slug="old-watermark",
            what=f"Numbers are {minutes:,.0f} minutes old in event time",
            do="Nobody sends trips, or the flow is behind: look at its lag",
        )


def _concern(process: Process, slug: str, what: str, do: str, *, is_error: bool = False) -> Concern:
    severity: Severity = "error" if is_error else "warning"
    return Concern(severity=severity, slug=slug, what=what, do=do, process=process.process)
