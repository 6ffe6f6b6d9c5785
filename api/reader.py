"""The contract of everything the API reads from, and what it answers with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final, Literal, Protocol

from api.times import time_of
from api.windows import Range
from mobility.entities import Entity
from mobility.records import MICRO, MIN_EVENT_TIME
from mobility.settings import Store

LAST: Final = "\U0010ffff"
"""Sorts after every character of an id, and is in none."""

By = Literal["revenue", "trips", "distance", "duration"]
"""What ids are sorted and ranked by."""


class StoreDown(Exception):  # noqa: N818 - a state of the store, not a fault of the request
    """A store that does not answer, or not usefully.

    `reason` is short, completes "redis …" and holds no secret: it is shown to everybody.
    """

    def __init__(self, store: Store, reason: str) -> None:
        self.store = store
        self.reason = reason
        super().__init__(f"{store} {reason}")


@dataclass(frozen=True, slots=True)
class Sums:
    """Sums over trips: int64 in millionths of minutes, kilometres and currency units."""

    trip_count: int
    total_duration: int
    total_distance: int
    total_revenue: int


NOTHING: Final = Sums(0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Totals:
    """An id's running totals, and how far the store had got when it was asked.

    `start_time` is that of the earliest trip, `last_start_time` that of the latest; None where a
    backfill has left no trip at all.
    `newest` is the start of the newest window (epoch ms). `as_of` is the watermark that every shard
    of the entity has passed; None until each has spoken.
    """

    sums: Sums
    start_time: datetime | None
    last_start_time: datetime | None
    newest: int | None
    as_of: datetime | None


@dataclass(frozen=True, slots=True)
class Part:
    """The trips of an id in the span of a series that has this number, from 0; there are some."""

    span: int
    sums: Sums
    start_time: datetime
    last_start_time: datetime


@dataclass(frozen=True, slots=True)
class Series:
    """The spans of an id that have trips, in order."""

    parts: Sequence[Part]
    as_of: datetime | None


@dataclass(frozen=True, slots=True)
class Batch:
    """The totals of many ids, by id; one that the store does not know is not there."""

    totals: Mapping[str, Totals]
    as_of: datetime | None


@dataclass(frozen=True, slots=True)
class Place:
    """Where a list goes on: after this id, which has this value of what it is sorted by."""

    last_id: str
    value: int


@dataclass(frozen=True, slots=True)
class Order:
    """How ids are listed: those that begin with `prefix`, by an amount and the id, or by the id."""

    prefix: str = ""
    by: By | None = None
    descending: bool = False


@dataclass(frozen=True, slots=True)
class Page:
    """Ids with their sums in the order that was asked for; `has_more` says that others follow."""

    ids: Sequence[tuple[str, Sums]]
    has_more: bool
    as_of: datetime | None


@dataclass(frozen=True, slots=True)
class Told:
    """What a process has told a store of itself: its record, and how many seconds ago that was."""

    process: str
    age: float
    record: str


@dataclass(frozen=True, slots=True)
class Ranked:
    """An id among the others: those with an equal amount have an equal rank."""

    id: str
    rank: int
    sums: Sums


@dataclass(frozen=True, slots=True)
class Top:
    """The first ids by an amount, out of `active_ids` that have trips and `total` together."""

    ids: Sequence[Ranked]
    active_ids: int
    total: Sums
    newest: int | None
    as_of: datetime | None


@dataclass(frozen=True, slots=True)
class Total:
    """The sums of all ids together, and the start of the newest window there is (epoch ms)."""

    sums: Sums
    newest: int | None
    as_of: datetime | None


@dataclass(frozen=True, slots=True)
class Summary:
    """The sums of all ids with trips, and by the name of a sum its percentiles over these ids."""

    active_ids: int
    total: Sums
    percentiles: Mapping[str, Sequence[int]]
    newest: int | None
    as_of: datetime | None


class Asked(Protocol):
    """What can be asked. All questions raise StoreDown where it does not answer in time."""

    @property
    def store(self) -> Store:
        """The store's name, as the settings know it."""
        ...

    async def close(self) -> None:
        """Close the connections that were opened for questions."""
        ...


class Reader(Asked, Protocol):
    """Answers about ids, quickly."""

    async def totals(self, entity: Entity, entity_id: str) -> Totals | None:
        """Return an id's totals, None where the store does not know the id."""
        ...

    async def batch(self, entity: Entity, ids: Sequence[str]) -> Batch:
        """Return the totals of those ids that the store knows."""
        ...

    async def series(self, entity: Entity, entity_id: str, edges: Sequence[int]) -> Series | None:
        """Return an id's trips in the spans between edges (epoch ms); there is at least one span.

        None where the store does not know the id; raises BeyondLedger where it does not reach.
        """
        ...

    async def page(self, entity: Entity, prefix: str, after: str, limit: int) -> Page:
        """Return up to `limit` ids with a prefix that follow an id; all follow the empty string."""
        ...

    async def count(self, entity: Entity, prefix: str) -> int:
        """Return how many ids begin with a prefix."""
        ...

    async def freshness(self) -> Mapping[str, datetime | None]:
        """Return, for each entity's name, the watermark that all its shards have passed."""
        ...

    async def statuses(self) -> Sequence[Told]:
        """Return what each process has said of itself within a minute, by the processes' names."""
        ...


class Analyst(Asked, Protocol):
    """Answers about all ids at once, which takes its time."""

    async def top(
        self, entity: Entity, over: Range, by: By, limit: int, only: str | None = None
    ) -> Top:
        """Return the first ids by an amount over a range, or `only` one of them, with its rank."""
        ...

    async def page(self, entity: Entity, order: Order, after: Place | None, limit: int) -> Page:
        """Return up to `limit` ids from a place on, in an order by an amount."""
        ...

    async def total(self, entity: Entity, over: Range) -> Total:
        """Return the sums of all ids over a range."""
        ...

    async def summary(self, entity: Entity, over: Range) -> Summary:
        """Return sums and percentiles (PERCENTILES) of the ids with trips in a range."""
        ...


PERCENTILES: Final = (50, 90, 99)

AMOUNT_OF: Final[Mapping[By, str]] = {
    "revenue": "total_revenue",
    "trips": "trip_count",
    "distance": "total_distance",
    "duration": "total_duration",
}
"""The sum that each order is by."""


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
    return None if epoch_ms is None or epoch_ms <= MIN_EVENT_TIME else time_of(epoch_ms)
