"""The sequence numbers of the stores, compared with those that a flow has in its snapshots.

A store that was emptied, or replaced by an earlier copy, lacks windows that the flow will not send
again. So a start compares them before it reads anything. While a flow runs, its transactions do
(see `SequenceNumber`).
"""

from collections.abc import Mapping
from contextlib import closing

from mobility.entities import ENTITIES, Entity
from mobility.settings import Settings, Store
from sinks.postgres import PostgresStore
from sinks.postgres_session import open_postgres_session
from sinks.redis_session import RedisSession, redis_client
from sinks.retry import START_RETRY_SECONDS
from sinks.store import SequenceNumber, WriterRole, refuse_behind

Known = Mapping[Store, Mapping[str, SequenceNumber]]
"""The sequence numbers that snapshots have, by store and name of an entity."""


def check_sequence_numbers(settings: Settings, writer: WriterRole, known: Known) -> None:
    """Raise StoreBehindError where the authority lacks what it was given.

    A follower finds out by itself what it lacks. Raises StoreError where a store does not answer.
    """
    if settings.authority == "postgres" and (sequence_numbers := known.get("postgres")):
        _check_postgres(settings, sequence_numbers)
    if settings.authority == "redis" and (sequence_numbers := known.get("redis")):
        _check_redis(settings, writer, sequence_numbers)


def _check_postgres(settings: Settings, known: Mapping[str, SequenceNumber]) -> None:
    session = open_postgres_session(settings)
    with closing(PostgresStore(session)) as store:
        for entity in _named(known):
            if store.sequence_number(entity).is_behind(known[entity.name]):
                refuse_behind(session.name, entity, known[entity.name])


def _check_redis(
    settings: Settings, writer: WriterRole, known: Mapping[str, SequenceNumber]
) -> None:
    session = RedisSession(
        redis_client(settings), settings, writer, retry_seconds=START_RETRY_SECONDS
    )
    with closing(session):
        for entity in _named(known):
            if session.read_sequence_number(entity).is_behind(known[entity.name]):
                refuse_behind(session.name, entity, known[entity.name])


def _named(known: Mapping[str, SequenceNumber]) -> list[Entity]:
    return [entity for entity in ENTITIES if entity.name in known]
