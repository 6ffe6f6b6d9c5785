"""The contract that every store implements, and what it answers with.

A store keeps the windows of each id (the ledger) and the running totals of each id. Windows arrive
as whole totals with a version, `(generation, trip_count)`: one that is not below the version held
replaces it, and the totals move by the difference. Replays, repeats and disorder change nothing.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final, Literal, NoReturn, Protocol

import polars as pl

from mobility.entities import Entity
from mobility.records import WINDOW_SCHEMA
from mobility.settings import Settings

Writer = Literal["main", "serving", "backfill"]
"""Who writes to a store.

Of the two flows one at a time may. A backfill writes beside them: it brings higher generations, so
it refuses no flow, is refused by none and takes no fencing token; but there is one at a time.
"""

FLOWS: Final[tuple[Writer, ...]] = ("main", "serving")
WRITERS: Final[tuple[Writer, ...]] = (*FLOWS, "backfill")
"""In the order of their numbers, from 1, in Postgres."""

TOTALS_SCHEMA: Final = pl.Schema(
    {
        name: WINDOW_SCHEMA[name]
        for name in (
            "id",
            "trip_count",
            "total_duration",
            "total_distance",
            "total_revenue",
            "start_time",
            "last_start_time",
        )
    }
)
"""A frame of running totals: a row an id, in the units of WINDOW_SCHEMA.

A backfill can leave windows without trips. They take no part in the starts of the earliest and the
latest trip, and an id that has no others stays, with 0 trips and no starts (null).
"""


class StoreError(RuntimeError):
    """A store that can't be used as it is; the message says which, why, and what to do."""


class StoreRefusedError(StoreError):
    """A store that belongs to others: another attempt would get the same answer."""


def refuse_fingerprint(store: str, held: str, answers: str, settings: Settings) -> NoReturn:
    """Raise StoreRefusedError: the store was filled under settings that give other answers."""
    msg = (
        f"{store} was filled with fingerprint {held}, this start has {settings.fingerprint}.\n"
        f"  there: {answers}\n"
        f"  here:  {settings.answers}\n"
        "Totals of both would be mixed. Start with the settings it was filled with, or use an "
        "empty store (another database, or for Redis another MOBILITY_REDIS_PREFIX)."
    )
    raise StoreRefusedError(msg)


def refuse_writer(store: str, holder: str, writer: str) -> NoReturn:
    """Raise StoreError: another flow writes to the store."""
    msg = (
        f"{store} is written to by the flow `{holder}`, so `{writer}` may not: one flow writes to "
        f"a store. Stop `{holder}` and wait 30 seconds, or start `{writer}` without stores "
        "(MOBILITY_STORES=)."
    )
    raise StoreError(msg)


def refuse_backfill(store: str) -> NoReturn:
    """Raise StoreError: another backfill is at work."""
    msg = (
        f"{store} is being backfilled already, and one backfill at a time may write to a store. "
        "Wait until it has ended; one that was killed stands in the way for up to 30 seconds."
    )
    raise StoreError(msg)


def refuse_fence(store: str, token: str, holder: str, ours: int | None) -> NoReturn:
    """Raise StoreRefusedError: a cluster that started later has the store."""
    msg = (
        f"{store} belongs to a cluster that was started later: it holds fencing token {token}, "
        f"taken by {holder}; this one holds {ours} and may not write any more.\n"
        "Nothing is lost: leave the later one running. If this one is to go on instead, stop that "
        "one and start this one again."
    )
    raise StoreRefusedError(msg)


@dataclass(frozen=True, slots=True)
class Applied:
    """What became of the windows of one call.

    `unchanged` counts those the store already had, in this or a higher version; `refused` those
    older than its ledger reaches back, which can't be told from windows counted long ago. `unseen`
    are ids that the store had never seen before, as far as it can tell.
    """

    applied: int = 0
    unchanged: int = 0
    refused: int = 0
    unseen: tuple[str, ...] = field(default=(), compare=False)

    def __add__(self, other: "Applied") -> "Applied":
        return Applied(
            self.applied + other.applied,
            self.unchanged + other.unchanged,
            self.refused + other.refused,
            self.unseen + other.unseen,
        )


class Store(Protocol):
    """Reconciles windows. All methods raise StoreError where the store can't be used."""

    def apply(self, entity: Entity, rows: pl.DataFrame, unseen: Collection[str] = ()) -> Applied:
        """Reconcile coalesced rows (WINDOW_SCHEMA, see `coalesced`); durable on return.

        `unseen` are ids of which the store that this one is filled from had seen nothing before it
        was given these rows.
        """
        ...

    def record_progress(
        self, entity: Entity, shard: int, shards: int, watermark: int | None
    ) -> None:
        """Record that all rows of a shard up to a watermark (epoch ms) are in the store.

        A recorded watermark never goes back: what was complete stays complete. A shard that has
        not spoken stands at MIN_EVENT_TIME; where the number of shards changes, every new shard
        starts from the minimum of the old ones. So the minimum over the shards is always true.
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

    def close(self) -> None:
        """Close what the store opened; a client that was passed in stays the caller's."""
        ...
