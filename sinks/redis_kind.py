"""What the flow needs of Redis, as an authority, beside its windows."""

from collections.abc import Mapping
from contextlib import closing

import redis

from mobility.keys import RedisKeys
from mobility.settings import Settings
from sinks.redis import connect_redis
from sinks.redis_session import RedisSession, redis_client
from sinks.retry import START_RETRY_SECONDS, StopRequested, no_stop
from sinks.status_writers import RedisStatusWriter, StatusWriter
from sinks.store import SequenceNumber, StoreError, WindowStore, WriterRole, check_numbers


class RedisKind:
    """Redis in the registry (`StoreKind`)."""

    linger = 0.0

    def connect(
        self, settings: Settings, writer: WriterRole, *, stop_requested: StopRequested = no_stop
    ) -> WindowStore:
        """Connect as `writer`."""
        return connect_redis(settings, writer, stop_requested=stop_requested)

    def take_fencing_token(
        self,
        settings: Settings,
        holder: str,
        writer: WriterRole | None,
        offered: int,
        stop_requested: StopRequested,
    ) -> int:
        """Take a token. With a `writer` its lease is taken as well."""
        del stop_requested
        session = _open_session(settings, writer or "main")
        with closing(session):
            if writer is not None:
                session.initialize()
            return session.take_fencing_token(offered, holder)

    def fencing_token(self, settings: Settings) -> int:
        """Return the token that was taken last."""
        try:
            with redis_client(settings) as client:
                return int(client.get(RedisKeys.of(settings).fence) or 0)
        except redis.RedisError as error:
            msg = f"Redis does not say which fencing token it holds: {error}"
            raise StoreError(msg) from error

    def check_sequence_numbers(
        self, settings: Settings, writer: WriterRole, known: Mapping[str, SequenceNumber]
    ) -> None:
        """Raise StoreBehindError where Redis is behind a known number."""
        session = _open_session(settings, writer)
        with closing(session):
            check_numbers(session.name, known, session.read_sequence_number)

    def status_writer(self, settings: Settings) -> StatusWriter:
        """Return what publishes status records under keys that expire."""
        return RedisStatusWriter(settings)


def _open_session(settings: Settings, writer: WriterRole) -> RedisSession:
    client = redis_client(settings)
    return RedisSession(client, settings, writer, retry_seconds=START_RETRY_SECONDS)
