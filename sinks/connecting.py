"""Connects to the authorities: the stores that are written on their own. Redis follows Postgres."""

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager

from mobility.entities import Entity
from mobility.settings import Settings
from sinks.authority import Authority
from sinks.followed_store import FollowedStore
from sinks.follower import ClosingTime, Follower
from sinks.follower_servers import FollowerServers
from sinks.postgres import PostgresStore
from sinks.postgres_session import PostgresSession
from sinks.registry import store_kind
from sinks.retry import StopRequested, no_stop
from sinks.store import StoreError, WindowStore, WriterRole


def follow(
    store: WindowStore,
    session: PostgresSession,
    settings: Settings,
    entity: Entity,
    closing_time: ClosingTime | None = None,
) -> tuple[FollowedStore, Follower]:
    """Return Postgres, connected over a session that is shared, as a store that Redis follows."""
    authority = Authority(session.share(), settings, entity)
    follower = Follower(settings, entity, authority, FollowerServers(settings), closing_time)
    return FollowedStore(store, follower), follower


def connect_authority(
    settings: Settings,
    writer: WriterRole,
    *,
    postgres: PostgresSession | None = None,
    stop_requested: StopRequested = no_stop,
) -> WindowStore:
    """Connect to the first authority of the settings; to Postgres over a session, if one is given.

    Raises StoreError where the settings name no store, or it can't be used.
    """
    if postgres is not None:
        return PostgresStore(postgres.share(), writer, is_followed=settings.is_followed)
    for store in settings.authorities:
        return store_kind(store).connect(settings, writer, stop_requested=stop_requested)
    msg = "There is no store to connect to: set MOBILITY_STORES."
    raise StoreError(msg)


@contextmanager
def connect_authorities(settings: Settings, writer: WriterRole) -> Iterator[list[WindowStore]]:
    """Connect to every authority of the settings, and close them in the end. Raises StoreError."""
    with ExitStack() as stack:
        yield [
            stack.enter_context(closing(connect_authority(each, writer)))
            for each in settings.by_authority
        ]
