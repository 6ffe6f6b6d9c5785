"""Text files inside packages: SQL."""

from functools import cache
from importlib.resources import files


@cache
def read_resource(package: str, *path: str) -> str:
    """Return a text file of a package.

    >>> read_resource("mobility", "py.typed")
    ''
    """
    return files(package).joinpath(*path).read_text(encoding="utf-8")
