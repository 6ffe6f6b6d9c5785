"""What the API answers with, as JSON. Amounts are minutes, kilometres and currency units."""

from datetime import datetime
from typing import Literal

import msgspec

from mobility.settings import Store

State = Literal["ok", "down", "off"]


class Metrics(msgspec.Struct, frozen=True, kw_only=True):
    """An id's running totals; each number is the double nearest to the exact one.

    Every trip of a window that ended more than the allowed lateness before `as_of` is in them;
    null means that some shard has not reported yet. An id whose trips were all found to be
    another's stays, with 0 trips and without a start.
    """

    entity: str
    id: str
    trip_count: int
    avg_duration: float
    total_duration: float
    total_distance: float
    total_revenue: float
    start_time: datetime | None
    as_of: datetime | None
    store: Store


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """An id and how many trips were counted for it."""

    id: str
    trip_count: int


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """A page of ids, in the order of their UTF-8 bytes; `next` is the cursor of the one after."""

    entity: str
    items: list[Item]
    total: int
    next: str | None
    store: Store


class Component(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A part of the system: `off` means that it is not configured; `reason` says why it is down."""

    state: State
    reason: str | None = None
    as_of: dict[str, datetime | None] | None = None


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """The state of every component, by name."""

    components: dict[str, Component]
