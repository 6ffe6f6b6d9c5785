"""What an upgrade does before the ledger becomes partitioned, so that nobody waits for it.

A ledger of an earlier release may have many millions of windows. What has to read or change all of
them is done here, in several transactions; `sql/entity/0006_partitions.sql` then finds it done.
"""

from collections.abc import Iterable
from contextlib import suppress

import psycopg
from psycopg import sql

from mobility.entities import Entity
from mobility.rollups import FIRST_WEEK, WEEK
from postgres.connection import Connection
from sinks.partitions import earlier_name
from sinks.sql_files import entity_statement, sql_file

MIGRATION = 6
"""The migration of an entity that partitions its ledger."""


def upgrade_values(entity: Entity) -> dict[str, sql.Composable]:
    """Return what the statements of the upgrade name, beside the tables."""
    earlier = earlier_name(entity)
    return {
        "name": sql.Literal(entity.name),
        "earlier": sql.Identifier(earlier),
        "earlier_check": sql.Identifier(f"{earlier}_check"),
        "primary_key": sql.Identifier(f"{entity.name}_ledger_pkey"),
        "earlier_primary_key": sql.Identifier(f"{earlier}_pkey"),
        "monday": sql.Literal(FIRST_WEEK),
        "week": sql.Literal(WEEK),
    }


def plain_ledgers(connection: Connection, entities: Iterable[Entity]) -> list[Entity]:
    """Return the entities whose ledger has windows and is not partitioned yet."""
    by_ledger = {f"{entity.name}_ledger": entity for entity in entities}
    tables = connection.execute(
        "SELECT relname FROM pg_class "
        "WHERE relname = ANY (%s) AND relkind = 'r' AND pg_table_is_visible(oid)",
        [list(by_ledger)],
    ).fetchall()
    return [
        by_ledger[str(name)]
        for (name,) in tables
        if connection.execute(
            sql.SQL("SELECT FROM {} LIMIT 1").format(sql.Identifier(str(name)))
        ).rowcount
    ]


def prepare_partitioning(connection: Connection, entity: Entity) -> None:
    """Find what partitioning would else wait for. It may be run again, and by several at once."""
    after: object = ""
    while after is not None:
        statement = entity_statement(entity, "fill_totals.sql")
        ((after,),) = connection.execute(statement, {"after": after}).fetchall()
    values = upgrade_values(entity)
    with connection.transaction():
        connection.execute(sql_file("acquire_schema_lock.sql"))
        if not plain_ledgers(connection, [entity]):
            return
        if not _has_check(connection, entity):
            connection.execute(entity_statement(entity, "check_earlier.sql", **values))
    # Without the check, another start has partitioned the ledger meanwhile.
    with connection.without_bound(), suppress(psycopg.errors.UndefinedObject):
        connection.execute(
            sql.SQL("ALTER TABLE {} VALIDATE CONSTRAINT {}").format(
                sql.Identifier(f"{entity.name}_ledger"), values["earlier_check"]
            )
        )


def _has_check(connection: Connection, entity: Entity) -> bool:
    """Return whether the check is there; it may not be valid yet, after a start that ended."""
    query = (
        "SELECT FROM pg_constraint WHERE conrelid = to_regclass(quote_ident(%s)) AND conname = %s"
    )
    names = [f"{entity.name}_ledger", f"{earlier_name(entity)}_check"]
    return connection.execute(query, names).rowcount > 0
