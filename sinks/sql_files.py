"""The SQL files of this package."""

from functools import cache
from importlib.resources import files

from psycopg import sql

from mobility.entities import Entity
from mobility.measure_lists import fill_in_lists
from mobility.resources import read_resource
from sinks.measure_lists import MEASURE_LISTS


@cache
def sql_file(*path: str) -> str:
    """Return a file of the folder `sql`, with the lists of measures that it names filled in."""
    return fill_in_lists(read_resource("sinks", "sql", *path), MEASURE_LISTS)


def migration_files(scope: str) -> dict[int, str]:
    """Return the numbered files of a folder of `sql`, in their order: number to file name."""
    names = sorted(
        entry.name for entry in files("sinks").joinpath("sql", scope).iterdir() if entry.is_file()
    )
    return {int(name.partition("_")[0]): name for name in names if name.endswith(".sql")}


def entity_statement(entity: Entity, *path: str, **values: sql.Composable) -> sql.Composed:
    """Return a file as a statement: placeholders name the tables of an entity, or are `values`."""
    return sql.SQL(sql_file(*path)).format(
        ledger=sql.Identifier(f"{entity.name}_ledger"),
        totals=sql.Identifier(f"{entity.name}_totals"),
        windows=sql.Identifier(f"{entity.name}_windows"),
        metrics=sql.Identifier(f"{entity.name}_metrics"),
        before=sql.Identifier(f"{entity.name}_before"),
        hours=sql.Identifier(f"{entity.name}_hours"),
        days=sql.Identifier(f"{entity.name}_days"),
        **values,
    )
