"""The Postgres schema: created and upgraded by the numbered files in `sql/store` and `sql/entity`.

The files of `sql/store` run once. Those of `sql/entity` are templates that run once for each
entity, so a new entity gets its tables at the next start. A file that has been released never
changes: an upgrade is a new file with the next number.
"""

import psycopg
from psycopg import sql

from mobility.entities import ENTITIES, Entity
from sinks.scripts import for_entity, numbered, text
from sinks.store import StoreError

Connection = psycopg.Connection[tuple[object, ...]]


def migrate(connection: Connection, entities: tuple[Entity, ...] = ENTITIES) -> None:
    """Bring the schema up to date, inside the caller's transaction and under one advisory lock.

    The lock is the transaction's: whoever comes second waits and finds nothing left to do. Raises
    StoreError where a newer version of this program has been here.
    """
    connection.execute(text("sql", "acquire_schema_lock.sql"))
    connection.execute(text("sql", "create_migrations_table.sql"))
    done = set(connection.execute("SELECT scope, number FROM migrations").fetchall())
    store = numbered("store")
    templates = numbered("entity")
    _refuse_newer(done, len(store), len(templates))
    for number, name in store.items():
        if ("store", number) not in done:
            _run(connection, "store", number, sql.SQL(text("sql", "store", name)))
    for entity in entities:
        for number, name in templates.items():
            if (entity.name, number) not in done:
                statement = for_entity(entity, "sql", "entity", name)
                _run(connection, entity.name, number, statement)


def _run(
    connection: Connection, scope: str, number: int, statement: sql.SQL | sql.Composed
) -> None:
    connection.execute(statement)
    connection.execute("INSERT INTO migrations (scope, number) VALUES (%s, %s)", (scope, number))


def _refuse_newer(done: set[tuple[object, ...]], store: int, templates: int) -> None:
    for scope, number in done:
        known = store if scope == "store" else templates
        if isinstance(number, int) and number > known:
            msg = (
                f"The schema is at version {number} of `{scope}`, this program knows {known}: "
                "a newer one has upgraded it. Start that one."
            )
            raise StoreError(msg)
