"""The state of every component."""

from collections.abc import Mapping
from datetime import datetime

from litestar import get
from litestar.di import NamedDependency

from api.access.authentication import OPEN
from api.queries.contract import StoreDown
from api.queries.store_readers import ORDER, Readers
from api.representation.problems import unavailable
from api.representation.responses import Component, Health
from mobility.settings import Store

Freshness = Mapping[str, datetime | None]


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
