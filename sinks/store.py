"""The contract of a store: windows and totals in, reconciled by version.

A store keeps the windows of each id (the ledger) and the running totals of each id. A window
arrives with its full totals and a version, `(generation, trip_count)`: it replaces the stored one
unless its version is lower, and the totals of the id move by the difference. So replays, repeats
and disorder change nothing.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, NoReturn, Protocol

import polars as pl

from mobility.entities import ENTITIES, Entity
from mobility.keys import LAST_WINDOW
from mobility.measures import AMOUNTS, MEASURE_SCHEMA
from mobility.records import MIN_EVENT_TIME
from mobility.settings import Settings, Store

WriterRole = Literal["main", "serving", "backfill"]
"""In which role a process writes to a store.

One of the two flows may write at a time. A backfill may write beside a flow: it brings windows of
a higher generation, so it needs no fencing token and neither excludes the other. There is one
backfill at a time.
"""

FLOWS: Final[tuple[WriterRole, ...]] = ("main", "serving")
WRITERS: Final[tuple[WriterRole, ...]] = (*FLOWS, "backfill")
"""A role's place here, from 1, is the second key of its advisory lock in Postgres."""

TOTALS_SCHEMA: Final = pl.Schema({"id": pl.String(), **MEASURE_SCHEMA})
"""Running totals: a row per id, in the units of WINDOW_SCHEMA.

A backfill can leave windows without trips. They don't count for the earliest and the latest start,
and an id that has only such windows stays, with 0 trips and null starts.
"""


TOUCHED_SCHEMA: Final = pl.Schema({**TOTALS_SCHEMA, LAST_WINDOW: pl.Int64()})
"""Running totals, and the start of the newest window of the id (epoch ms)."""


class StoreError(RuntimeError):
    """A store can't be used; the message says which one, why, and what to do."""


class StoreRefusedError(StoreError):
    """A store refuses this writer for good: the same attempt would be refused again."""


class StoreBehindError(StoreRefusedError):
    """A store lacks windows that were written to it."""


class AmountTooLargeError(StoreRefusedError):
    """A window is larger than the store can hold; it was not written.

    A flow waits until it fits: somebody can make room, as by a backfill without a wrong trip.
    """


REBUILD: Final = (
    "Fill it again from `aggregated.*`: stop the flow, then `just rebuild postgres`, `just "
    "rebuild redis` or `just rebuild delta` with the recovery folder of the flow (-r DIR)."
)


def refuse_large_windows(store: str, entity: Entity, rows: pl.DataFrame, limit: int) -> None:
    """Raise AmountTooLargeError where a window (WINDOW_SCHEMA) has an amount beyond `limit`."""
    for measure in AMOUNTS:
        large = rows.filter(~pl.col(measure).is_between(-limit, limit))
        if not large.is_empty():
            msg = (
                f"{store} can't hold {measure} of {entity.name} {large['id'][0]!r}: the limit of a "
                f"window is {limit} millionths of the unit"
            )
            raise AmountTooLargeError(msg)


def refuse_fingerprint(
    store: str, stored_fingerprint: str, stored_answers: str, settings: Settings
) -> NoReturn:
    """Raise StoreRefusedError: the store was filled under settings that change answers."""
    msg = (
        f"{store} was filled with fingerprint {stored_fingerprint}, this start has "
        f"{settings.fingerprint}.\n"
        f"  stored:     {stored_answers}\n"
        f"  this start: {settings.answers}\n"
        "Totals of both would be mixed. Start with the settings it was filled with, or use an "
        "empty store (another database, another MOBILITY_REDIS_PREFIX or MOBILITY_DELTA)."
    )
    raise StoreRefusedError(msg)


def refuse_follower(store: str) -> NoReturn:
    """Raise StoreRefusedError: a follower can't be the only store."""
    msg = (
        f"{store} has followed Postgres, so it has totals and no windows: it can't be the only "
        "store. Set MOBILITY_STORES=redis,postgres, or use an empty Redis or another "
        f"MOBILITY_REDIS_PREFIX.\n{REBUILD}"
    )
    raise StoreRefusedError(msg)


def refuse_cluster(store: str) -> NoReturn:
    """Raise StoreRefusedError: a Redis Cluster can only follow."""
    msg = (
        f"{store} is a Redis Cluster, which can follow Postgres, and can't be the only store: its "
        "transactions do not reach over several masters. Set MOBILITY_STORES=redis,postgres, or "
        "let MOBILITY_REDIS name a server that is not part of a cluster."
    )
    raise StoreRefusedError(msg)


def refuse_writer(store: str, current: str, refused: str) -> NoReturn:
    """Raise StoreError: another flow writes to the store."""
    msg = (
        f"{store} is written to by the flow `{current}`, so `{refused}` may not: one flow writes "
        f"to a store. Stop `{current}` and wait 30 seconds, or start `{refused}` without stores "
        "(MOBILITY_STORES=)."
    )
    raise StoreError(msg)


def refuse_backfill(store: str) -> NoReturn:
    """Raise StoreError: another backfill is running."""
    msg = (
        f"{store} is being backfilled already, and one backfill at a time may write to a store. "
        "Wait until it has ended; one that was killed blocks the next for up to 30 seconds."
    )
    raise StoreError(msg)


def refuse_fencing_token(store: str, newer: str, holder: str, own: int | None) -> NoReturn:
    """Raise StoreRefusedError: a cluster that started later has a higher fencing token."""
    msg = (
        f"{store} belongs to a cluster that was started later: it holds fencing token {newer}, "
        f"taken by {holder}; this one holds {own} and may not write any more.\n"
        "Nothing is lost: leave the later one running. To continue with this one instead, stop "
        "that one and start this one again."
    )
    raise StoreRefusedError(msg)


@dataclass(frozen=True, slots=True)
class SequenceNumber:
    """How far the windows of an entity are in a store.

    `instance_id` is made with the store; `number` rises with each transaction that writes windows
    of the entity, whoever writes them. After a crash it may be higher than what a writer knows.
    Another id, or a lower number, means that the store was replaced: by an empty one, by an earlier
    copy, or by a replica that lacks the last transactions.
    """

    instance_id: str
    number: int

    def is_behind(self, known: "SequenceNumber") -> bool:
        """Return whether a store with this number lacks what it had at the `known` one."""
        return self.instance_id != known.instance_id or self.number < known.number


def refuse_behind(store: str, entity: Entity, known: SequenceNumber) -> NoReturn:
    """Raise StoreBehindError: the store lacks windows that were written to it."""
    msg = (
        f"{store} lacks windows of {entity.name} that were written to it: it was emptied, or "
        "replaced by an earlier copy or by a replica without the last transactions (it was known "
        f"as {known.instance_id} at sequence number {known.number}).\n{REBUILD}"
    )
    raise StoreBehindError(msg)


def check_numbers(
    store: str, known: Mapping[str, SequenceNumber], read: Callable[[Entity], SequenceNumber]
) -> None:
    """Raise StoreBehindError where what is read for an entity is behind its known number."""
    for entity in ENTITIES:
        number = known.get(entity.name)
        if number is not None and read(entity).is_behind(number):
            refuse_behind(store, entity, number)


@dataclass(frozen=True, slots=True)
class Touched:
    """What transactions have changed, for a follower.

    `totals` (TOUCHED_SCHEMA) are those of the ids after it, `windows` (WINDOW_SCHEMA) the replaced
    windows. `first` and `number` are the first and the last of their sequence numbers. The ids
    that transactions up to the number `reread` have changed must be read from the store: one of
    them was a backfill, or its reply was lost.
    """

    totals: pl.DataFrame
    windows: pl.DataFrame
    first: int
    number: int
    reread: int

    @classmethod
    def joined(cls, parts: Sequence["Touched"]) -> "Touched":
        """Return some, at least one, as one: at once, for there may be thousands."""
        return cls(
            pl.concat(each.totals for each in parts),
            pl.concat(each.windows for each in parts),
            min(each.first for each in parts),
            max(each.number for each in parts),
            max(each.reread for each in parts),
        )


@dataclass(frozen=True, slots=True)
class ApplyResult:
    """Counts of the windows of one `apply`.

    `unchanged` are those that the store already had, in this or a higher version; `too_old` those
    older than its ledger reaches back: whether they were counted before can't be known.
    `sequence_number` is that of the last transaction, None where there was none. A store that is
    followed says what it has `touched`.
    """

    applied: int = 0
    unchanged: int = 0
    too_old: int = 0
    sequence_number: SequenceNumber | None = field(default=None, compare=False)
    touched: Touched | None = field(default=None, compare=False)

    def __add__(self, other: "ApplyResult") -> "ApplyResult":
        both = self.sequence_number, other.sequence_number
        numbers = [number for number in both if number is not None]
        touched = [each for each in (self.touched, other.touched) if each is not None]
        return ApplyResult(
            self.applied + other.applied,
            self.unchanged + other.unchanged,
            self.too_old + other.too_old,
            max(numbers, key=lambda each: each.number, default=None),
            Touched.joined(touched) if touched else None,
        )


def advanced_progress(
    stored: dict[int, int], shard: int, shards: int, watermark: int | None
) -> dict[int, int]:
    """Return the watermarks of all shards after `record_progress`, as the contract has it."""
    start = dict.fromkeys(range(shards), min(stored.values(), default=MIN_EVENT_TIME))
    progress = stored if len(stored) == shards else start
    reached = MIN_EVENT_TIME if watermark is None else watermark
    return progress | {shard: max(progress[shard], reached)}


class WindowStore(Protocol):
    """Keeps windows and totals. All methods raise StoreError where the store can't be used.

    `kind` is its name in MOBILITY_STORES.
    """

    @property
    def kind(self) -> Store:
        """Return the name of the store in MOBILITY_STORES."""
        ...

    def apply(self, entity: Entity, rows: pl.DataFrame) -> ApplyResult:
        """Reconcile windows (`window_schema`, one row a window as `highest_versions` returns them).

        They are durable on return. A store may leave out sketches.
        """
        ...

    def record_progress(
        self, entity: Entity, shard: int, shards: int, watermark: int | None
    ) -> None:
        """Record that all windows of a shard up to a watermark (epoch ms) are in the store.

        A recorded watermark never goes back: what was complete stays complete. A shard that has
        recorded none has MIN_EVENT_TIME. Where the number of shards changes, every new shard
        starts at the minimum of the old ones, so the minimum over the shards is always true.
        """
        ...

    def progress(self, entity: Entity) -> dict[int, int]:
        """Return the watermark (epoch ms) of each shard."""
        ...

    def totals(self, entity: Entity) -> pl.DataFrame:
        """Return every id's running totals (TOTALS_SCHEMA), sorted by id."""
        ...

    def windows(self, entity: Entity) -> pl.DataFrame:
        """Return the ledger (WINDOW_SCHEMA), sorted by id and window start."""
        ...

    def sequence_number(self, entity: Entity) -> SequenceNumber:
        """Return the sequence number after the last windows that this object has applied."""
        ...

    def close(self) -> None:
        """Close the connections of the store."""
        ...
