"""Checks of the flow and the audit: each problem that they find says what to do about it."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Final

from api.queries.sequence_number_poller import FollowerLags
from api.status.responses import FlowProcess, RunningAudit, Severity, StatusProblem
from mobility.settings import Settings

MAX_STATUS_AGE: Final = 5.0
"""Seconds; a process publishes its status every second."""

_MAX_SHARE: Final = 0.01
_MIN_MESSAGES: Final = 1_000
_MAX_SNAPSHOT_INTERVALS: Final = 6
_MIN_SNAPSHOT_SECONDS: Final = 60


def find_problems(
    processes: Iterable[FlowProcess],
    audit: RunningAudit | None,
    watermarks: Iterable[datetime | None],
    now: datetime,
    settings: Settings,
) -> Iterator[StatusProblem]:
    """Yield the problems of the flow and the audit."""
    found = list(processes)
    if not found:
        yield StatusProblem(
            severity="error",
            slug="silent-flow",
            what="No process of the flow has published its status for a minute",
            do="Start the flow (`just up`, or `just run -r DIR`) with the same MOBILITY_STORES as "
            "this API",
        )
    for process in found:
        yield from _check_process(process)
        yield from _check_outcomes(process)
        yield from _check_progress(process, now, settings)
    if audit is not None and audit.drift:
        yield StatusProblem(
            severity="error",
            slug="drift",
            what=f"{audit.drift:,} windows differ from the batch computation over the log",
            do="`just audit` lists them; `just backfill` recounts windows",
            process="audit",
        )
    yield from _check_watermarks(list(watermarks), now, settings)


def describe_lags(lags: FollowerLags) -> str | None:
    """Return how far Redis is behind Postgres, to complete "redis …"; None if it is not."""
    if None in lags.values():
        return "does not follow this Postgres yet: the flow fills it"
    behind = [f"{lag:,} transactions of {name}" for name, lag in lags.items() if lag]
    return f"is behind Postgres by {', '.join(behind)}" if behind else None


def check_follower(lags: FollowerLags) -> Iterator[StatusProblem]:
    """Yield the problem that Redis is behind Postgres."""
    if (lag := describe_lags(lags)) is not None:
        yield StatusProblem(
            severity="warning",
            slug="follower-behind",
            what=f"redis {lag}; until it has caught up, Postgres answers",
            do="It catches up by itself while the flow runs. If it does not, see whether Redis "
            "takes writes: its memory, whether it is a replica, or a cluster that lacks a master",
        )


def _check_process(process: FlowProcess) -> Iterator[StatusProblem]:
    if process.age > MAX_STATUS_AGE:
        yield _problem(
            process,
            "silent-process",
            f"{process.process} has not published its status for {process.age:.0f} s",
            f"Check that process {process.pid} runs on {process.host}, and read its log",
            is_error=True,
        )
    for reason in process.refusals.values():
        yield _problem(
            process,
            "amount-too-large",
            f"{reason}; {process.process} waits until it fits",
            "`aggregated.*` has every window exactly. Correct trips with too large amounts by a "
            "backfill, or restart the flow without this store in MOBILITY_STORES",
            is_error=True,
        )
    for reason in process.waits.values():
        yield _problem(
            process,
            "store-awaited",
            f"{reason}; {process.process} waits for it",
            "It goes on by itself once the store takes writes. See whether that runs, and for what "
            "it waits itself (pg_stat_activity, its disk, a failover)",
        )
    if process.punctuations_refused:
        yield _problem(
            process,
            "punctuations-refused",
            "Kafka does not allow the flow to write punctuations: the state of idle partitions is "
            "not cleaned up",
            "Allow the flow's user to write to the topic that it reads",
        )
    if process.partitions_unread:
        yield _problem(
            process,
            "partitions-unread",
            f"{process.partitions_unread} partitions were added, and the flow does not read them",
            "Restart the flow",
        )
    if process.gaps:
        yield _problem(
            process,
            "gaps",
            f"{process.gaps} gaps in the log were accepted: their trips are not counted",
            "`gaps.ndjson` in the recovery folder lists them; a backfill can count their trips",
        )


def _check_outcomes(process: FlowProcess) -> Iterator[StatusProblem]:
    counts = process.counts
    if counts.read < _MIN_MESSAGES:
        return
    if counts.late > _MAX_SHARE * counts.read:
        yield _problem(
            process,
            "many-late",
            f"{counts.late / counts.read:.1%} of the trips are late",
            "If trips are sent when they end, set MOBILITY_EVENT_TIME=end; else use a longer "
            "MOBILITY_ALLOWED_LATENESS. `just late list` lists them",
        )
    if counts.dead > _MAX_SHARE * counts.read:
        yield _problem(
            process,
            "many-dead",
            f"{counts.dead / counts.read:.1%} of the messages are dead letters",
            "`just dlq list` lists them with their reasons",
        )


def _check_progress(
    process: FlowProcess, now: datetime, settings: Settings
) -> Iterator[StatusProblem]:
    if settings.ready_lag and process.lag > settings.ready_lag:
        yield _problem(
            process,
            "lag",
            f"{process.process} has a lag of {process.lag:,} messages",
            "Wait if it reads faster than trips are produced; else start more processes",
        )
    max_age = max(_MIN_SNAPSHOT_SECONDS, _MAX_SNAPSHOT_INTERVALS * settings.snapshot_interval)
    # A flow that has read everything has nothing new to save.
    is_busy = process.lag or process.rates.trips_per_s
    at = process.snapshot_at
    if is_busy and at and (now - at).total_seconds() > max_age:
        yield _problem(
            process,
            "old-snapshot",
            f"The last snapshot of {process.process} is from {at:%H:%M:%S} UTC",
            "It waits for a store, the broker or the disk of the recovery folder: read its log",
        )


def _check_watermarks(
    watermarks: list[datetime | None], now: datetime, settings: Settings
) -> Iterator[StatusProblem]:
    if None in watermarks:
        yield StatusProblem(
            severity="warning",
            slug="silent-shards",
            what="Some shard has not reported a watermark: no window is complete",
            do="Wait until each partition has had a trip; a partition without trips holds the "
            "watermark back",
        )
    known = [watermark for watermark in watermarks if watermark is not None]
    if settings.ready_age and known and (now - min(known)).total_seconds() > settings.ready_age:
        minutes = (now - min(known)).total_seconds() / 60
        yield StatusProblem(
            severity="warning",
            slug="old-watermark",
            what=f"The watermark is {minutes:,.0f} minutes behind the clock",
            do="Either no trips are sent, or the flow is behind: check its lag",
        )


def _problem(
    process: FlowProcess, slug: str, what: str, do: str, *, is_error: bool = False
) -> StatusProblem:
    severity: Severity = "error" if is_error else "warning"
    return StatusProblem(severity=severity, slug=slug, what=what, do=do, process=process.process)
