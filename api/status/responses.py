"""What `/status` answers with. Times are UTC, rates a second, positions offsets of the log."""

from datetime import datetime
from typing import Literal

import msgspec

from api.queries.contract import as_time
from mobility.settings import Store
from mobility.status import AuditStatus, FlowStatus, Outcomes, PartitionStatus, Rates

Severity = Literal["error", "warning"]


class Concern(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something that is not as it should be: what, and what to do about it."""

    severity: Severity
    slug: str
    what: str
    do: str
    process: str | None = None


class Partition(msgspec.Struct, frozen=True, kw_only=True):
    """Where a process stands in a partition of a topic."""

    topic: str
    partition: int
    position: int | None
    end: int | None
    lag: int
    watermark: datetime | None
    status: str


class Process(msgspec.Struct, frozen=True, kw_only=True):
    """A process of a flow; `age` is how many seconds ago it said this, by the store's clock."""

    process: str
    flow: str
    at: datetime | None
    age: float
    host: str
    pid: int
    watermark: datetime | None
    lag: int
    partitions: list[Partition]
    rates: Rates
    counts: Outcomes
    snapshot_at: datetime | None
    punctuations_refused: int
    partitions_unread: int
    gaps: int


class Audit(msgspec.Struct, frozen=True, kw_only=True):
    """The running audit, since its start; `drift` counts the windows that differed."""

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


class Overview(msgspec.Struct, frozen=True, kw_only=True):
    """The whole system as its processes describe it; `problems` is empty where all is well."""

    store: Store
    as_of: dict[str, datetime | None]
    processes: list[Process]
    audit: Audit | None
    problems: list[Concern]


def process_of(name: str, age: float, said: FlowStatus) -> Process:
    """Return what a process has said, as it is shown."""
    return Process(
        process=name,
        flow=said.flow,
        at=as_time(said.at),
        age=round(age, 1),
        host=said.host,
        pid=said.pid,
        watermark=as_time(said.watermark),
        lag=said.lag,
        partitions=[_partition(partition) for partition in said.partitions],
        rates=said.rates,
        counts=said.counts,
        snapshot_at=as_time(said.snapshot_at),
        punctuations_refused=said.punctuations_refused,
        partitions_unread=said.partitions_unread,
        gaps=said.gaps,
    )


def audit_of(age: float, said: AuditStatus) -> Audit:
    """Return what the audit has said, as it is shown."""
    return Audit(
        at=as_time(said.at),
        age=round(age, 1),
        drift=said.drift,
        drifts=said.drifts,
        checked=said.checked,
        amended=said.amended,
        rounds=said.rounds,
        failures=said.failures,
        behind=said.behind,
        last_success=as_time(said.last_success),
    )


def _partition(said: PartitionStatus) -> Partition:
    return Partition(
        topic=said.topic,
        partition=said.partition,
        position=said.position,
        end=said.end,
        lag=said.lag,
        watermark=as_time(said.watermark),
        status=said.status,
    )
