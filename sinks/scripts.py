"""The SQL and Lua texts of this package, as they lie in its folders."""

from importlib.resources import files

from psycopg import sql

from mobility.entities import Entity
from mobility.resources import read_resource


def text(*path: str) -> str:
    """Return a file of this package."""
    return read_resource("sinks", *path)


def numbered(scope: str) -> dict[int, str]:
    """Return the numbered files of a folder of `sql`, in their order: number to file name."""
    names = sorted(
        entry.name for entry in files("sinks").joinpath("sql", scope).iterdir() if entry.is_file()
    )
    return {int(name.partition("_")[0]): name for name in names if name.endswith(".sql")}


def for_entity(entity: Entity, *path: str, **values: sql.Composable) -> sql.Composed:
    """Return a statement about an entity's tables, its placeholders filled in."""
    return sql.SQL(text(*path)).format(
        ledger=sql.Identifier(f"{entity.name}_ledger"),
        totals=sql.Identifier(f"{entity.name}_totals"),
        windows=sql.Identifier(f"{entity.name}_windows"),
        metrics=sql.Identifier(f"{entity.name}_metrics"),
        **values,
    )
