"""By which tables and rules a recount judged what it read, as its record says."""

import hashlib
from pathlib import Path

from audit.backfill_records import LogRead
from audit.oracle import TABLES
from audit.rules_in_force import RulesInForce, copied_table, read_line
from mobility.settings import Settings


class MissingTableError(ValueError):
    """A table that a recount has joined is no longer there."""


def rules_of(read: LogRead, settings: Settings) -> RulesInForce:
    """Return what a recount judged by. Raises MissingTableError."""
    folder = Path(settings.recovery_dir or "")
    lines = []
    for line in read.rules:
        named = {name: sha for name, sha in line["tables"].items() if name in TABLES}
        tables = {name: _find_table(name, sha, settings) for name, sha in named.items()}
        made = read_line(line, folder, read.trips_stream.topic_id)
        lines.append(type(made)(made.version, tables, made.first_offsets))
    return RulesInForce(tuple(lines), {})


def _find_table(name: str, sha256: str, settings: Settings) -> Path:
    """Return the copy of a table in the recovery folder, else the file of the settings."""
    if settings.recovery_dir is not None:
        copy = copied_table(Path(settings.recovery_dir), sha256)
        if copy.exists():
            return copy
    path = getattr(settings, name)
    if path is not None and Path(path).exists():
        with Path(path).open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() == sha256:
                return Path(path)
    msg = f"the table of {name} that it joined ({sha256[:12]}) is no longer there"
    raise MissingTableError(msg)
