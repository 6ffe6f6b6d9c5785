"""The contract of everything the API reads from, and what it answers with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final, Protocol

from mobility.entities import Entity
from mobility.records import MICRO, MIN_EVENT_TIME
from mobility.settings import Store

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class StoreDown(Exception):  # noqa: N818 - a state of the store, not a fault of the request
    """A store that does not answer, or not usefully.

    `reason` is short, completes "redis …" and holds no secret: it is shown to everybody.
    """

    def __init__(self, store: Store, reason: str) -> None:
        self.store = store
        self.reason = reason
        super().__init__(f"{store} {reason}")


@dataclass(frozen=True, slots=True)
class Totals:
    """An id's running totals, and how far the store had got when it was asked.

    `total_*` are int64 in millionths of minutes, kilometres and currency units. `as_of` is the
    watermark that every shard of the entity has passed; None until each has spoken. `start_time` is
    that of the earliest trip; None where a backfill has left no trip at all.
    """

    trip_count: int
    total_duration: int
    total_distance: int
    total_revenue: int
    start_time: datetime | None
    as_of: datetime | None


@dataclass(frozen=True, slots=True)
class Page:
    """Ids in the order of their UTF-8 bytes, with their trip counts, and how many ids there are.

    `has_more` says that ids follow after the last one.
    """

    ids: tuple[tuple[str, int], ...]
    total: int
    has_more: bool


@dataclass(frozen=True, slots=True)
class Told:
    """What a process has told a store of itself: its record, and how many seconds ago that was."""

    process: str
    age: float
    record: str


class Reader(Protocol):
    """Reads one store. All methods raise StoreDown where the store does not answer in time."""

    @property
    def store(self) -> Store:
        """The store's name, as the settings know it."""
        ...

    async def totals(self, entity: Entity, entity_id: str) -> Totals | None:
        """Return an id's totals, None where the store does not know the id."""
        ...

    async def page(self, entity: Entity, after: str, limit: int) -> Page:
        """Return up to `limit` ids that follow `after`; the empty string comes before all ids."""
        ...

    async def freshness(self) -> Mapping[str, datetime | None]:
        """Return, for each entity's name, the watermark that all its shards have passed."""
        ...

    async def statuses(self) -> Sequence[Told]:
        """Return what each process has said of itself within a minute, by the processes' names."""
        ...

    async def close(self) -> None:
        """Close the connections that the reader has opened."""
        ...


def micro(amount: str | Decimal) -> int:
    """Return a decimal amount of units as whole millionths.

    >>> micro("12.5")
    12500000
    """
    return int(Decimal(amount) * MICRO)


def as_time(epoch_ms: int | None) -> datetime | None:
    """Return a watermark as a time; one that stands at the beginning of time has not spoken.

    >>> as_time(1_735_689_600_000).isoformat()
    '2025-01-01T00:00:00+00:00'
    """
    if epoch_ms is None or epoch_ms <= MIN_EVENT_TIME:
        return None
    return _EPOCH + timedelta(milliseconds=epoch_ms)
