"""The tables and views of Postgres as earlier releases have left them."""

from typing import Final

from psycopg import sql

from mobility.entities import ENTITIES
from mobility.measures import ADDED
from mobility.settings import Settings
from postgres.connection import Connection
from sinks.migrations import migrate
from sinks.partitioning_upgrade import MIGRATION
from sinks.sql_files import entity_statement, migration_files, sql_file

_CARRIES: Final = 8
"""The migration of an entity after which totals have carries."""

_METRICS: Final = """
CREATE OR REPLACE VIEW {metrics} AS
SELECT
    id,
    trip_count,
    coalesce(total_duration::float8 / (nullif(trip_count, 0) * 1000000), 0) AS avg_duration,
    (total_duration * 0.000001)::numeric(19, 6) AS total_duration,
    (total_distance * 0.000001)::numeric(19, 6) AS total_distance,
    (total_revenue * 0.000001)::numeric(19, 6) AS total_revenue,
    epoch_ms_to_time(start_time) AS start_time,
    epoch_ms_to_time(last_start_time) AS last_start_time,
    (max_price * 0.000001)::numeric(19, 6) AS max_price,
    (max_distance * 0.000001)::numeric(19, 6) AS max_distance,
    coalesce(distance_count, trip_count) AS distance_count,
    coalesce(revenue_count, trip_count) AS revenue_count
FROM {totals}
"""


def make_schema_without_carries(settings: Settings) -> None:
    """Create the tables as they were before totals could exceed a bigint."""
    with Connection.connect(settings.postgres) as connection:
        migrate(connection, before=_CARRIES)
        _add_measures(connection)


def make_schema_without_partitions(settings: Settings) -> None:
    """Create the tables as they were before the ledger was partitioned."""
    with Connection.connect(settings.postgres) as connection:
        migrate(connection, before=MIGRATION)
        _add_measures(connection)
        connection.execute("DELETE FROM migrations WHERE scope = 'store' AND number >= 6")
        connection.execute(
            "ALTER TABLE sequence_numbers DROP COLUMN oldest_window, DROP COLUMN newest_window, "
            "DROP COLUMN kept_from, DROP COLUMN refused, DROP COLUMN rolling_to"
        )
        connection.execute("DROP FUNCTION refuse_dropped_window")
        connection.execute("DROP TABLE rollups, stale_hours")


def make_schema_of_0_1(settings: Settings) -> None:
    """Create the tables of release 0.1."""
    with Connection.connect(settings.postgres) as connection:
        connection.execute(sql_file("create_migrations_table.sql"))
        for number, name in migration_files("store").items():
            if number <= 3:
                connection.execute(sql_file("store", name))
                connection.execute("INSERT INTO migrations VALUES ('store', %s)", [number])
        for entity in ENTITIES:
            for number, name in migration_files("entity").items():
                if number <= 3:
                    connection.execute(entity_statement(entity, "entity", name))
                    row = [entity.name, number]
                    connection.execute("INSERT INTO migrations VALUES (%s, %s)", row)


def _add_measures(connection: Connection) -> None:
    """Add the measures that were added by then, as a start of that time did."""
    for entity in ENTITIES:
        for measure in ADDED:
            column = sql.Identifier(measure.name)
            connection.execute(entity_statement(entity, "add_measure.sql", column=column))
        names = {kind: sql.Identifier(f"{entity.name}_{kind}") for kind in ("metrics", "totals")}
        connection.execute(sql.SQL(_METRICS).format(**names))
