"""Response bodies of `/status` and `/health`. Times are UTC, positions are offsets of the log."""

from datetime import datetime
from typing import Literal

import msgspec

from api.queries.time_range import known_time
from mobility.settings import Store
from mobility.status import AuditStatus, FlowStatus, Outcomes, PartitionStatus, Rates

Severity = Literal["error", "warning"]
State = Literal["ok", "down", "off"]


class ComponentHealth(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The state of a component: `off` means not configured.

    `reason` says why it is down, or how far it is behind.
    """

    state: State
    reason: str | None = None
    as_of: dict[str, datetime | None] | None = None


class HealthResponse(msgspec.Struct, frozen=True, kw_only=True):
    """The state of each component, by name."""

    components: dict[str, ComponentHealth]


class StatusProblem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A problem that a check found: what is wrong, and what to do about it."""

    severity: Severity
    slug: str
    what: str
    do: str
    process: str | None = None


class FlowPartition(msgspec.Struct, frozen=True, kw_only=True):
    """The position of a process in a partition of a topic."""

    topic: str
    partition: int
    position: int | None
    end: int | None
    lag: int
    watermark: datetime | None
    status: str


class FlowProcess(msgspec.Struct, frozen=True, kw_only=True):
    """A process of a flow. `age` is the age of its record in seconds; rates are per second.

    `counted_since` has the first window of each entity that is not counted from the beginning on.
    `refusals` says for each entity what a store can't hold, for which the process waits, `waits` by
    store why it is waited for.
    """

    process: str
    flow: str
    at: datetime | None
    age: float
    host: str
    pid: int
    watermark: datetime | None
    lag: int
    partitions: list[FlowPartition]
    rates: Rates
    counts: Outcomes
    snapshot_at: datetime | None
    punctuations_refused: int
    partitions_unread: int
    gaps: int
    counted_since: dict[str, datetime | None]
    refusals: dict[str, str]
    waits: dict[str, str]


class RunningAudit(msgspec.Struct, frozen=True, kw_only=True):
    """The running audit, since its start; `drift` is the number of windows that differ."""

    at: datetime | None
    age: float
    drift: int
    drifts: dict[str, int]
    checked: int
    amended: int
    rounds: int
    failures: int
    behind: int
    last_success: datetime | None


class DataExtent(msgspec.Struct, frozen=True, kw_only=True):
    """From when to when there are windows with trips; the range is half-open.

    `ended` says that all trips are read and the newest ones are old, as at the end of a file,
    `complete` that only a backfill can still change a window.
    """

    from_: datetime = msgspec.field(name="from")
    to: datetime
    ended: bool
    complete: bool


class StatusResponse(msgspec.Struct, frozen=True, kw_only=True):
    """The status of the whole system; `problems` is empty if no check found any.

    `extent` is null where there are no windows, and without Postgres.
    `follower_lags` has for each entity the number of transactions of Postgres that Redis lacks for
    over five seconds, null where it does not follow this Postgres. It is empty where Redis does not
    follow, or where that is not known.
    """

    store: Store
    as_of: dict[str, datetime | None]
    extent: DataExtent | None
    processes: list[FlowProcess]
    audit: RunningAudit | None
    follower_lags: dict[str, int | None]
    problems: list[StatusProblem]


def to_process(name: str, age: float, status: FlowStatus) -> FlowProcess:
    """Return the response about a process of a flow."""
    return FlowProcess(
        process=name,
        flow=status.flow,
        at=known_time(status.at),
        age=round(age, 1),
        host=status.host,
        pid=status.pid,
        watermark=known_time(status.watermark),
        lag=status.lag,
        partitions=[_to_partition(partition) for partition in status.partitions],
        rates=status.rates,
        counts=status.counts,
        snapshot_at=known_time(status.snapshot_at),
        punctuations_refused=status.punctuations_refused,
        partitions_unread=status.partitions_unread,
        gaps=status.gaps,
        counted_since={name: known_time(since) for name, since in status.counted_since.items()},
        refusals=status.refusals,
        waits=status.waits,
    )


def to_audit(age: float, status: AuditStatus) -> RunningAudit:
    """Return the response about the running audit."""
    return RunningAudit(
        at=known_time(status.at),
        age=round(age, 1),
        drift=status.drift,
        drifts=status.drifts,
        checked=status.checked,
        amended=status.amended,
        rounds=status.rounds,
        failures=status.failures,
        behind=status.behind,
        last_success=known_time(status.last_success),
    )


def _to_partition(status: PartitionStatus) -> FlowPartition:
    return FlowPartition(
        topic=status.topic,
        partition=status.partition,
        position=status.position,
        end=status.end,
        lag=status.lag,
        watermark=known_time(status.watermark),
        status=status.status,
    )
