"""What the API answers with, as JSON. Amounts are minutes, kilometres and currency units.

`as_of` is the watermark: every trip of a window that ended more than the allowed lateness before it
is counted; null means that some shard has not reported yet. `complete` says that what is answered
for lies wholly before that, so that only a backfill can still change it. Ranges are half-open, and
`from` and `to` are those that were counted: on the borders of windows.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

import msgspec

from mobility.settings import Store

State = Literal["ok", "down", "off"]


class Fresh(msgspec.Struct, frozen=True, kw_only=True):
    """How far the flow had got, as the store that answered knew."""

    as_of: datetime | None
    store: Store


class Sums(msgspec.Struct, frozen=True, kw_only=True):
    """Sums over trips."""

    trip_count: int
    total_duration: float
    total_distance: float
    total_revenue: float


class Amounts(Sums, frozen=True, kw_only=True):
    """Sums over trips, and means of a trip, which are 0 without any.

    Each number is the double nearest to the exact one.
    """

    avg_duration: float
    avg_distance: float
    avg_revenue: float


class Counted(Amounts, frozen=True, kw_only=True):
    """What was counted in a range, whose ends are null where it is open."""

    from_: datetime | None = msgspec.field(name="from")
    to: datetime | None
    complete: bool


class LastWindow(msgspec.Struct, frozen=True, kw_only=True):
    """The newest window of an id."""

    window_start: datetime
    window_end: datetime
    complete: bool


class Metrics(Counted, frozen=True, kw_only=True):
    """An id's running totals, or those of a range, and when its first and its last trip started.

    An id whose trips were all found to be another's stays, with 0 trips and without a start.
    """

    entity: str
    id: str
    start_time: datetime | None
    last_start_time: datetime | None
    last_window: LastWindow | None
    as_of: datetime | None
    store: Store


class Item(Sums, frozen=True, kw_only=True):
    """An id and what was counted for it."""

    id: str


class Listing(Fresh, frozen=True, kw_only=True):
    """A page of ids. By default they are in the order of their UTF-8 bytes.

    `next` is the cursor of the page after this one. `total` is the number of all ids that the list
    goes through, as it was when its first page was asked for.
    """

    entity: str
    items: Sequence[Item]
    total: int
    next: str | None


class Span(Amounts, frozen=True, kw_only=True):
    """A window, or an hour or day of them; the first and last are cut by the range."""

    window_start: datetime
    window_end: datetime
    complete: bool


class Series(Fresh, frozen=True, kw_only=True):
    """The spans in which an id had trips, in order. The others are left out."""

    entity: str
    id: str
    from_: datetime = msgspec.field(name="from")
    to: datetime
    granularity: str
    tz: str
    items: Sequence[Span]


class Ranked(Amounts, frozen=True, kw_only=True):
    """An id among the others. Equal amounts have equal ranks.

    `share` is its part of the total, null where that is 0.
    """

    rank: int
    id: str
    share: float | None


class Top(Fresh, frozen=True, kw_only=True):
    """The first ids by an amount, out of `active_ids` with trips, which have `total` together."""

    entity: str
    by: str
    from_: datetime | None = msgspec.field(name="from")
    to: datetime | None
    active_ids: int
    items: Sequence[Ranked]
    total: Amounts
    complete: bool


class Percentiles(msgspec.Struct, frozen=True, kw_only=True):
    """The smallest values that 50, 90 and 99 % of the ids do not exceed."""

    p50: float
    p90: float
    p99: float


class Distribution(msgspec.Struct, frozen=True, kw_only=True):
    """How the sums are distributed over the ids that have trips; null without any."""

    trip_count: Percentiles | None
    total_duration: Percentiles | None
    total_distance: Percentiles | None
    total_revenue: Percentiles | None


class Summary(Counted, frozen=True, kw_only=True):
    """The whole entity over a range."""

    entity: str
    active_ids: int
    distribution: Distribution
    as_of: datetime | None
    store: Store


class Side(Counted, frozen=True, kw_only=True):
    """One of the two that are compared: an id, or the whole entity where it is null."""

    id: str | None


class Ratio(msgspec.Struct, frozen=True, kw_only=True):
    """The left amounts by the right ones; null where the right one is 0."""

    trip_count: float | None
    avg_duration: float | None
    avg_distance: float | None
    avg_revenue: float | None
    total_duration: float | None
    total_distance: float | None
    total_revenue: float | None


class Comparison(Fresh, frozen=True, kw_only=True):
    """Two ranges or two ids, and what the left has more than the right."""

    entity: str
    left: Side
    right: Side
    difference: Amounts
    ratio: Ratio


class Known(Amounts, frozen=True, kw_only=True):
    """An id of a batch."""

    id: str
    start_time: datetime | None
    last_start_time: datetime | None


class Batch(Fresh, frozen=True, kw_only=True):
    """The totals of ids in the order they were asked for; null for one without any trip."""

    entity: str
    items: Sequence[Known | None]


class Component(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A part of the system: `off` means that it is not configured; `reason` says why it is down."""

    state: State
    reason: str | None = None
    as_of: dict[str, datetime | None] | None = None


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """The state of every component, by name."""

    components: dict[str, Component]
