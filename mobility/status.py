"""The status record of a process, as the stores keep it and the API reads it.

JSON, one object per process; times are epoch ms. Fields may be added: readers skip fields that they
don't know, and fields that an older process does not write have a default.
"""

from typing import Final, Literal

import msgspec

EXPIRY: Final = 60
"""Seconds after which the record of a process that writes none any more expires."""

AUDIT: Final = "audit"
"""The name of the running audit among the processes."""

ReadStatus = Literal["behind", "caught_up", "idle", "finished"]
"""How far a partition is read: `idle` is caught up without a new message for a while, `finished`
the end of a bounded read. Never persisted: only the present run can know it."""


class PartitionStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The position of a process in a partition.

    `position` is the offset that it reads next, `end` the one that the next message will get, and
    `lag` the difference.
    """

    topic: str
    partition: int
    position: int | None = None
    end: int | None = None
    lag: int = 0
    watermark: int | None = None
    status: ReadStatus = "behind"


class Rates(msgspec.Struct, frozen=True, kw_only=True):
    """Throughput a second, over the last ten seconds."""

    trips_per_s: float = 0.0
    windows_per_s: float = 0.0


class MessageCounts(msgspec.Struct, frozen=True):
    """What became of the messages that were read in this run."""

    read: int = 0
    counted: int = 0
    late: int = 0
    dead: int = 0
    duplicates: int = 0
    punctuations: int = 0

    def __add__(self, other: "MessageCounts") -> "MessageCounts":
        return MessageCounts(
            self.read + other.read,
            self.counted + other.counted,
            self.late + other.late,
            self.dead + other.dead,
            self.duplicates + other.duplicates,
            self.punctuations + other.punctuations,
        )


class Outcomes(MessageCounts, frozen=True, kw_only=True):
    """What became of the messages, and how many windows were queued for the stores."""

    windows_out: int = 0


class FlowStatus(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="flow"):
    """A process of a flow. `watermark` is None while an active partition has none.

    `counted_since` has the first window of each entity that is not counted from the beginning on.
    `refusals` says for each entity what a store can't hold, for which the process waits. `waits`
    says by store why it is waited for.
    """

    flow: Literal["main", "serving"]
    at: int
    host: str
    pid: int
    watermark: int | None = None
    lag: int = 0
    partitions: tuple[PartitionStatus, ...] = ()
    rates: Rates = Rates()
    counts: Outcomes = Outcomes()
    snapshot_at: int | None = None
    punctuations_refused: int = 0
    partitions_unread: int = 0
    gaps: int = 0
    counted_since: dict[str, int] = {}
    refusals: dict[str, str] = {}
    waits: dict[str, str] = {}


class AuditStatus(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="audit"):
    """The running audit, since its start; `drift` counts the windows that differed."""

    at: int
    drift: int = 0
    drifts: dict[str, int] = msgspec.field(default_factory=dict)
    checked: int = 0
    amended: int = 0
    rounds: int = 0
    failures: int = 0
    behind: int = 0
    last_success: int | None = None


Status = FlowStatus | AuditStatus

_DECODER: Final[msgspec.json.Decoder[Status]] = msgspec.json.Decoder(Status)


def encode_status(status: Status) -> bytes:
    """Return a record as it is stored."""
    return msgspec.json.encode(status)


def decode_status(record: str | bytes) -> Status:
    """Return the status of a stored record; raises msgspec.DecodeError where it is none.

    >>> decode_status('{"kind": "audit", "at": 5, "new": true}').at
    5
    """
    return _DECODER.decode(record)
