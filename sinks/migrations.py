"""Migrations of the Postgres schema: the numbered files in `sql/store` and `sql/entity`.

A file of `sql/store` runs once. A file of `sql/entity` is a template and runs once for each entity,
so a new entity gets its tables at the next start. The table `migrations` holds the numbers that
have run. A released file never changes: an upgrade is a new file with the next number. The columns
of measures that were added need no file: they are null in the rows that there are. So are those of
sketches, which a ledger has from the first start on that computes them.
"""

from collections.abc import Collection

from psycopg import sql

from mobility.entities import ENTITIES, Entity
from mobility.measures import ADDED
from mobility.sketched_measures import Sketch, sketches_of
from postgres.connection import Connection
from sinks.partitioning_upgrade import (
    MIGRATION,
    plain_ledgers,
    prepare_partitioning,
    upgrade_values,
)
from sinks.sql_files import entity_statement, migration_files, sql_file
from sinks.store import StoreError


def upgrade(connection: Connection, entities: tuple[Entity, ...] = ENTITIES) -> None:
    """Do what a later `migrate` would hold locks for too long: in several transactions.

    The connection is in autocommit mode. Raises StoreError as `migrate`.
    """
    plain = plain_ledgers(connection, entities)
    if plain:
        with connection.transaction():
            migrate(connection, entities, before=MIGRATION)
    for entity in plain:
        prepare_partitioning(connection, entity)
        with connection.transaction():
            migrate(connection, (entity,))


def migrate(
    connection: Connection,
    entities: tuple[Entity, ...] = ENTITIES,
    measures: Collection[str] = (),
    *,
    before: int | None = None,
) -> None:
    """Run the missing migrations in the caller's transaction, under an advisory lock.

    `measures` are the names of those that are optional (MOBILITY_MEASURES). With `before`, those of
    entities run only up to that number, and columns of measures are not added. A concurrent start
    waits for the lock and then finds nothing left to run. Raises StoreError where a newer version
    of this program has migrated the schema.
    """
    connection.execute(sql_file("acquire_schema_lock.sql"))
    connection.execute(sql_file("create_migrations_table.sql"))
    done = set(connection.execute("SELECT scope, number FROM migrations").fetchall())
    store = migration_files("store")
    templates = migration_files("entity")
    _refuse_newer(done, len(store), len(templates))
    for number, name in store.items():
        if ("store", number) not in done:
            _run(connection, "store", number, sql.SQL(sql_file("store", name)))
    for entity in entities:
        for number, name in templates.items():
            if (entity.name, number) not in done and (before is None or number < before):
                statement = entity_statement(entity, "entity", name, **upgrade_values(entity))
                _run(connection, entity.name, number, statement)
        if before is not None:
            continue
        _add_measures(connection, entity)
        if sketches := sketches_of(entity, measures):
            _add_sketches(connection, entity, sketches)


def _run(
    connection: Connection, scope: str, number: int, statement: sql.SQL | sql.Composed
) -> None:
    # It may change every window of a large ledger.
    with connection.without_bound():
        connection.execute(statement)
    connection.execute("INSERT INTO migrations (scope, number) VALUES (%s, %s)", (scope, number))


def _add_measures(connection: Connection, entity: Entity) -> None:
    """Add the columns of measures that lack them, which rewrites no row, also to both views."""
    # Readers lock the totals before the ledger.
    views = [f"{entity.name}_{kind}" for kind in ("metrics", "windows")]
    shown = {view: columns_of(connection, view) for view in views}
    missing = [each for each in ADDED if not all(each.name in shown[view] for view in views)]
    if not missing:
        return
    for view in views:
        if shown[view]:
            name = sql.Identifier(view)
            connection.execute(entity_statement(entity, "lock_view.sql", view=name))
    for each in missing:
        column = sql.Identifier(each.name)
        connection.execute(entity_statement(entity, "add_measure.sql", column=column))
    connection.execute(entity_statement(entity, "replace_views.sql"))


def _add_sketches(connection: Connection, entity: Entity, sketches: tuple[Sketch, ...]) -> None:
    """Add the columns of those sketches that the ledger lacks: who has none on has no column."""
    columns = columns_of(connection, f"{entity.name}_ledger")
    for each in sketches:
        if each.name not in columns:
            column = sql.Identifier(each.name)
            connection.execute(entity_statement(entity, "add_sketch.sql", column=column))


def columns_of(connection: Connection, relation: str) -> set[str]:
    """Return the names of the columns of a table or a view; none where there is no such."""
    found = connection.execute(sql_file("select_columns.sql"), {"relation": relation})
    return {str(name) for (name,) in found}


def _refuse_newer(done: set[tuple[object, ...]], store: int, templates: int) -> None:
    for scope, number in done:
        known = store if scope == "store" else templates
        if isinstance(number, int) and number > known:
            msg = (
                f"The schema is at version {number} of `{scope}`, this program supports {known}: "
                "a newer version has migrated it. Start that version."
            )
            raise StoreError(msg)
