"""The contract of the stores that the API queries: protocols, and the types of their results.

Amounts are exact: sums in millionths, of any size. `newest_window` is the start of the newest
window (epoch ms). `watermark` is the one that all shards of the entity have reached; None while
some shard has not reported one.
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from typing import Final, Generic, Literal, Protocol, TypeVar

import polars as pl

from api.queries.hours_of_week import ClockSpan
from api.queries.local_times import Part
from api.queries.time_range import ALL_TIME, TimeRange
from mobility.entities import Entity
from mobility.measures import ADDITIVE, EXTREMES, SUMS
from mobility.settings import Store
from mobility.sketched_measures import Sketch

MAX_CHARACTER: Final = "\U0010ffff"
"""Sorts after every character of an id, and is in none."""

PERCENTILES: Final = (50, 90, 99)

SortKey = Literal["revenue", "trips", "distance", "duration"]
"""What ids are sorted and ranked by."""

SUM_OF_KEY: Final[Mapping[SortKey, str]] = {
    "revenue": "total_revenue",
    "trips": "trip_count",
    "distance": "total_distance",
    "duration": "total_duration",
}

_SUMS: Final = {each.name: each.dtype for each in ADDITIVE}

LIST_BATCH_SCHEMA: Final = pl.Schema({"id": pl.String(), **_SUMS})
"""The columns of a batch of a list: the id and the sums."""

WINDOW_BATCH_SCHEMA: Final = pl.Schema({"id": pl.String(), "bucket": pl.Int64(), **_SUMS})
"""The columns of a batch of windows: the id, the index of the bucket, and the sums."""


def parts_of(sketch: Sketch) -> str:
    """Return the column with the bytes of a sketch in the windows of a bucket (List(Binary))."""
    return f"parts_of_{sketch.name}"


def trips_of(sketch: Sketch) -> str:
    """Return the column with the number of trips of the windows that have a sketch (Int64)."""
    return f"trips_of_{sketch.name}"


def window_batch_schema(sketches: Sequence[Sketch]) -> pl.Schema:
    """Return the columns of a batch of windows with sketches."""
    columns = [
        {parts_of(each): pl.List(pl.Binary()), trips_of(each): pl.Int64()} for each in sketches
    ]
    return pl.Schema(chain(WINDOW_BATCH_SCHEMA.items(), *(each.items() for each in columns)))


Sums = Mapping[str, int]
"""The measures that are added up (SUMS), by name: numbers of trips, and amounts in millionths."""

Extremes = Mapping[str, int | datetime | None]
"""Minima and maxima (EXTREMES) by name: amounts in millionths, or times; None without trips."""

ZERO_SUMS: Final[Sums] = dict.fromkeys(SUMS, 0)
NO_EXTREMES: Final[Extremes] = dict.fromkeys(EXTREMES)


@dataclass(frozen=True, slots=True)
class Totals:
    """The running totals of an id, or those over a range. A backfill can leave an id without trips.

    `newest_window` is None where nobody asks for it.
    """

    sums: Sums
    extremes: Extremes
    newest_window: int | None
    watermark: datetime | None


@dataclass(frozen=True, slots=True)
class Bucket:
    """The trips of an id in the bucket of a series with this index; there is at least one."""

    index: int
    sums: Sums
    extremes: Extremes


@dataclass(frozen=True, slots=True)
class Series:
    """The buckets of an id that have trips, in order, and the newest window of all time."""

    buckets: Sequence[Bucket]
    newest_window: int | None
    watermark: datetime | None


@dataclass(frozen=True, slots=True)
class WindowSpan:
    """The starts of the oldest and the newest window of an entity (epoch ms)."""

    oldest_window: int
    newest_window: int


@dataclass(frozen=True, slots=True)
class TotalsBatch:
    """The totals of several ids, by id, without those that the store does not know."""

    totals: Mapping[str, Totals]
    watermark: datetime | None


@dataclass(frozen=True, slots=True)
class FollowerPosition:
    """How far an entity is in a follower.

    It has everything that the transactions up to `number` of the authority with the instance id
    `follows` have written. It follows none where that is None.
    """

    follows: str | None
    number: int


@dataclass(frozen=True, slots=True)
class SequenceNumbers:
    """The number of the last transaction of each entity in the authority, 0 where there is none."""

    instance_id: str
    numbers: Mapping[str, int]


T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class FollowerResult(Generic[T_co]):
    """What a follower has, and the position that it had before it was read."""

    value: T_co
    position: FollowerPosition


@dataclass(frozen=True, slots=True)
class ListPosition:
    """The last id of a page, and its value of the sum that the list is sorted by."""

    last_id: str
    value: int


@dataclass(frozen=True, slots=True)
class ListOrder:
    """A list of the ids with a prefix, sorted by a sum and then the id, or by the id alone.

    With a range it is of the ids with trips in it, and of their sums over it.
    """

    prefix: str = ""
    sort_key: SortKey | None = None
    is_descending: bool = False
    time_range: TimeRange = ALL_TIME


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a list: ids with their sums. `has_more` says that other ids follow."""

    ids: Sequence[tuple[str, Sums]]
    has_more: bool
    watermark: datetime | None


@dataclass(frozen=True, slots=True)
class StatusRecord:
    """The status record of a process as a store has it; `age` is in seconds."""

    process: str
    age: float
    record: str


@dataclass(frozen=True, slots=True)
class RankedId:
    """An id with its rank; equal amounts have equal ranks."""

    id: str
    rank: int
    sums: Sums


@dataclass(frozen=True, slots=True)
class TopIds:
    """The first ids by a sum. `active_ids` is the number of ids with trips, `total` their sums."""

    ids: Sequence[RankedId]
    active_ids: int
    total: Sums
    newest_window: int | None
    watermark: datetime | None


@dataclass(frozen=True, slots=True)
class EntityTotal:
    """The sums of all ids of an entity."""

    sums: Sums
    newest_window: int | None
    watermark: datetime | None


@dataclass(frozen=True, slots=True)
class EntitySummary:
    """The sums of all ids with trips; `percentiles` over these ids, by the name of the sum."""

    active_ids: int
    total: Sums
    percentiles: Mapping[str, Sequence[int]]
    newest_window: int | None
    watermark: datetime | None


@dataclass(frozen=True, slots=True)
class WeekSums:
    """The sums of the hours of the week that have trips, by their index."""

    sums: Mapping[int, Sums]
    newest_window: int | None
    watermark: datetime | None


@dataclass(frozen=True, slots=True)
class SketchOfWindows:
    """The bytes of a sketch in windows: `parts` merge to that of all that have it.

    `trips` is the number of trips of these windows; others lack the sketch, so it is not known.
    """

    parts: Sequence[bytes]
    trips: int


@dataclass(frozen=True, slots=True)
class SketchedTrips:
    """The trips of a range, and their sketches by name, without those that no window has."""

    trip_count: int
    sketches: Mapping[str, SketchOfWindows]
    newest_window: int | None
    watermark: datetime | None


class ExportReader(Protocol):
    """All of an entity at one moment, which stays as it is until it is closed."""

    @property
    def oldest_window(self) -> int | None:
        """The start of the oldest window; None if there is none."""
        ...

    @property
    def newest_window(self) -> int | None:
        """The start of the newest window; None if there is none."""
        ...

    @property
    def kept_from(self) -> int | None:
        """From when on all windows are kept (epoch ms); None where none was dropped."""
        ...

    @property
    def watermark(self) -> datetime | None:
        """The watermark of that moment."""
        ...

    def check(
        self, parts: Sequence[Part], bounds: Sequence[int] = (), sketches: Sequence[Sketch] = ()
    ) -> None:
        """Raise BeyondLedgerError where buckets between bounds need windows that were dropped.

        Only windows that start in the parts count.
        """
        ...

    def windows(
        self,
        bounds: Sequence[int],
        parts: Sequence[Part],
        entity_id: str | None = None,
        sketches: Sequence[Sketch] = (),
    ) -> AsyncGenerator[pl.DataFrame, None]:
        """Yield the buckets between bounds of an id, or of all ids, in order of time.

        Only windows that start in the parts count, which are in order and between the bounds.
        Buckets without trips are left out. The columns are those of `window_batch_schema`, for
        those of the sketches that the store has.
        """
        ...

    def ids(self, order: ListOrder, limit: int | None) -> AsyncGenerator[pl.DataFrame, None]:
        """Yield the ids of a list with their sums (LIST_BATCH_SCHEMA), up to a limit."""
        ...

    async def close(self) -> None:
        """End reading."""
        ...


class QueriedStore(Protocol):
    """A store that takes queries. All queries raise StoreUnavailableError if it does not answer."""

    @property
    def store(self) -> Store:
        """The store's name in the settings."""
        ...

    async def close(self) -> None:
        """Close the connections."""
        ...


class StatusReader(QueriedStore, Protocol):
    """What each store knows of the flow."""

    async def watermarks(self) -> Mapping[str, datetime | None]:
        """Return the watermark of each entity, by name."""
        ...

    async def statuses(self) -> Sequence[StatusRecord]:
        """Return the status records of the last minute, sorted by process."""
        ...


class Follower(StatusReader, Protocol):
    """A store with the totals of some ids, which is behind another one: its authority."""

    async def totals(self, entity: Entity, entity_id: str) -> FollowerResult[Totals] | None:
        """Return the totals of an id; None if it does not have them."""
        ...

    async def batch(self, entity: Entity, ids: Sequence[str]) -> FollowerResult[TotalsBatch]:
        """Return the totals of those ids that it has."""
        ...

    async def positions(self) -> Mapping[str, FollowerPosition]:
        """Return the position of each entity, by name."""
        ...


class StoreReader(StatusReader, Protocol):
    """Quick queries about ids."""

    async def totals(self, entity: Entity, entity_id: str) -> Totals | None:
        """Return the totals of an id; None if the store does not know the id."""
        ...

    async def batch(self, entity: Entity, ids: Sequence[str]) -> TotalsBatch:
        """Return the totals of those ids that the store knows."""
        ...

    async def series(self, entity: Entity, entity_id: str, bounds: Sequence[int]) -> Series | None:
        """Return the series of an id in the buckets between these bounds (epoch ms).

        There is at least one bucket. None if the store does not know the id. Raises
        BeyondLedgerError if the store does not have the windows any more.
        """
        ...

    async def page(self, entity: Entity, prefix: str, after: str, limit: int) -> Page:
        """Return up to `limit` ids with a prefix that follow the id `after`."""
        ...

    async def count(self, entity: Entity, prefix: str) -> int:
        """Return the number of ids with a prefix."""
        ...

    async def span(self, entity: Entity) -> WindowSpan | None:
        """Return from when to when there are windows; None without any, or if that is not known."""
        ...


class AnalyticsReader(QueriedStore, Protocol):
    """Slow queries over all ids."""

    async def top(
        self,
        entity: Entity,
        time_range: TimeRange,
        sort_key: SortKey,
        limit: int,
        only: str | None = None,
    ) -> TopIds:
        """Return the first ids by a sum over a range; with `only`, that id alone with its rank."""
        ...

    async def page(
        self, entity: Entity, order: ListOrder, after: ListPosition | None, limit: int
    ) -> Page:
        """Return up to `limit` ids after a position, in any order and over any range."""
        ...

    async def count(self, entity: Entity, order: ListOrder) -> int:
        """Return the number of ids in a list."""
        ...

    async def batch(self, entity: Entity, ids: Sequence[str], time_range: TimeRange) -> TotalsBatch:
        """Return the totals over a range of those ids that the store knows."""
        ...

    async def total(self, entity: Entity, time_range: TimeRange) -> EntityTotal:
        """Return the sums of all ids over a range."""
        ...

    async def summary(self, entity: Entity, time_range: TimeRange) -> EntitySummary:
        """Return sums and percentiles (PERCENTILES) of the ids with trips in a range."""
        ...

    async def week(
        self, entity: Entity, spans: Sequence[ClockSpan], only: str | None = None
    ) -> WeekSums:
        """Return the sums of the hours of the week over spans, of all ids or of one."""
        ...

    async def distribution(
        self,
        entity: Entity,
        entity_id: str | None,
        time_range: TimeRange,
        sketches: Sequence[Sketch],
    ) -> SketchedTrips:
        """Return these sketches of the trips of an id in a range, or of all ids."""
        ...

    async def begin_export(self, entity: Entity) -> ExportReader:
        """Begin to read all of an entity; the caller closes the result."""
        ...
