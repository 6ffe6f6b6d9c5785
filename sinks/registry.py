"""The stores by their names in MOBILITY_STORES: the one place that knows how each is connected."""

from collections.abc import Callable, Mapping
from typing import Final

from mobility.settings import Store
from sinks.postgres_kind import PostgresKind
from sinks.redis_kind import RedisKind
from sinks.store import StoreRefusedError
from sinks.store_kind import FencedStoreKind, StoreKind


def _delta() -> StoreKind:
    try:
        from sinks.delta import connect_delta  # noqa: PLC0415 - deltalake is an optional package
    except ModuleNotFoundError as error:
        msg = (
            f"The store delta needs a package that is not installed ({error.name}): install "
            "`mobility-hub[delta]`, or leave delta out of MOBILITY_STORES."
        )
        raise StoreRefusedError(msg) from error
    # A commit is a file in the log of a table, and often a request to an object store.
    return FencedStoreKind(connect_delta, linger=5)


_KINDS: Final[Mapping[Store, Callable[[], StoreKind]]] = {
    "postgres": PostgresKind,
    "redis": RedisKind,
    "delta": _delta,
}


def store_kind(store: Store) -> StoreKind:
    """Return a store by its name. Raises StoreRefusedError where its package is not installed."""
    return _KINDS[store]()
