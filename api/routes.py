"""The routes: from a request to the stores and back."""

from collections.abc import Mapping
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Final

from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, QueryParameter

from api.access.authentication import OPEN
from api.answers import Component, Health, Item, Listing, Metrics
from api.cursor import decode_cursor, encode_cursor
from api.paths import decode_id
from api.problems import problem, unavailable
from api.reader import StoreDown, Totals
from api.readers import ORDER, Readers
from mobility.entities import BY_NAME, Entity
from mobility.records import MICRO
from mobility.settings import Store

MAX_LIMIT: Final = 500
DEFAULT_LIMIT: Final = 100

Freshness = Mapping[str, datetime | None]


@get("/metrics/{entity_name:str}/{entity_id:str}")
async def metrics(
    entity_name: FromPath[str], entity_id: FromPath[str], readers: NamedDependency[Readers]
) -> Metrics:
    """Return an id's running totals."""
    entity = _entity(entity_name)
    found = decode_id(entity_id)
    answer = None if found is None else await readers.totals(entity, found)
    if found is None or answer is None:
        raise problem(HTTPStatus.NOT_FOUND, f"No trips were counted for this {entity.name}")
    return _metrics(entity, found, answer.value, answer.store)


@get("/metrics/{entity_name:str}")
async def listing(
    entity_name: FromPath[str],
    readers: NamedDependency[Readers],
    limit: Annotated[int, QueryParameter(ge=1, le=MAX_LIMIT)] = DEFAULT_LIMIT,
    cursor: FromQuery[str | None] = None,
) -> Listing:
    """Return the ids of an entity with their trip counts, a page at a time."""
    entity = _entity(entity_name)
    after = "" if cursor is None else decode_cursor(cursor)
    answer = await readers.page(entity, after, limit)
    page = answer.value
    return Listing(
        entity=entity.name,
        items=[Item(id=entity_id, trip_count=count) for entity_id, count in page.ids],
        total=page.total,
        next=encode_cursor(page.ids[-1][0]) if page.has_more else None,
        store=answer.store,
    )


@get("/health", opt={OPEN: True})
async def health(readers: NamedDependency[Readers]) -> Health:
    """Return the state of each component; a store that is configured and down makes it 503."""
    stores = await readers.freshness()
    components: dict[str, Component] = {store: _store_state(stores.get(store)) for store in ORDER}
    components["flow"] = _flow_state(stores)
    down = [str(found) for found in stores.values() if isinstance(found, StoreDown)]
    if down:
        raise unavailable("; ".join(down), components=components)
    return Health(components=components)


def _entity(name: str) -> Entity:
    entity = BY_NAME.get(name)
    if entity is None:
        raise problem(HTTPStatus.NOT_FOUND, f"No such entity; there are {', '.join(BY_NAME)}")
    return entity


def _metrics(entity: Entity, entity_id: str, totals: Totals, store: Store) -> Metrics:
    # An integer divided by an integer is the nearest double, of the mean as of the sums.
    count = totals.trip_count
    return Metrics(
        entity=entity.name,
        id=entity_id,
        trip_count=count,
        avg_duration=totals.total_duration / (count * MICRO) if count else 0.0,
        total_duration=totals.total_duration / MICRO,
        total_distance=totals.total_distance / MICRO,
        total_revenue=totals.total_revenue / MICRO,
        start_time=totals.start_time,
        as_of=totals.as_of,
        store=store,
    )


def _store_state(found: Freshness | StoreDown | None) -> Component:
    if found is None:
        return Component(state="off")
    if isinstance(found, StoreDown):
        return Component(state="down", reason=found.reason)
    return Component(state="ok")


def _flow_state(stores: Mapping[Store, Freshness | StoreDown]) -> Component:
    """Judge the flow by what the first store that answers has heard from it."""
    if not stores:
        return Component(state="off")
    for found in stores.values():
        if not isinstance(found, StoreDown):
            silent = [name for name, as_of in found.items() if as_of is None]
            if silent:
                reason = f"has not reported how far it is with {', '.join(silent)}"
                return Component(state="down", reason=reason, as_of=dict(found))
            return Component(state="ok", as_of=dict(found))
    return Component(state="down", reason="is seen through the stores, and none answers")
