"""Connects to the store that has the truth: Postgres, or Redis where there is no Postgres.

With both, Redis follows.
"""

import time

from mobility.entities import Entity
from mobility.settings import Settings
from sinks.authority import Authority
from sinks.followed_store import FollowedStore
from sinks.follower import ClosingTime, Follower
from sinks.follower_connection import FollowerConnection
from sinks.postgres import PostgresStore, open_session
from sinks.postgres_session import PostgresSession
from sinks.redis import connect_redis
from sinks.retry import Sleep, StopRequested, no_stop
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
    connection = FollowerConnection(settings)
    follower = Follower(settings, entity, authority, connection, closing_time)
    return FollowedStore(store, follower), follower


def connect_authority(
    settings: Settings,
    writer: WriterRole,
    *,
    postgres: PostgresSession | None = None,
    sleep: Sleep = time.sleep,
    stop_requested: StopRequested = no_stop,
) -> WindowStore:
    """Connect to the authority of the settings, over the session `postgres` or one that is opened.

    Raises StoreError where the settings name no store, or it can't be used.
    """
    if "postgres" in settings.stores:
        if postgres is None:
            postgres = open_session(settings, writer, sleep=sleep, stop_requested=stop_requested)
        else:
            postgres.share()
        return PostgresStore(postgres, writer, is_followed=settings.is_followed)
    if "redis" in settings.stores:
        return connect_redis(settings, writer, sleep=sleep, stop_requested=stop_requested)
    msg = "There is no store to connect to: set MOBILITY_STORES."
    raise StoreError(msg)
