"""Which of the given files are new, and which import they belong to."""

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from imports.errors import ImportRefusedError
from mobility.trip_files import TripFile, TripFileSet
from producer.formats.join_tables import is_prepared_as
from stack.import_folder import ImportFolder


@dataclass(frozen=True, slots=True)
class Selection:
    """The files to send; those `held` are in the log already.

    `resumed` is an import of these files that was interrupted. Then they are in its order.
    """

    files: TripFileSet
    held: tuple[TripFile, ...]
    resumed: ImportFolder | None


def select_files(
    given: TripFileSet,
    own: TripFileSet | None,
    imports: Sequence[ImportFolder],
    workspace: str | None = None,
) -> Selection:
    """Return which files are to be sent, whatever their names are; each content once.

    `own` are the files of a `workspace`, `imports` those into the same log. Raises
    ImportRefusedError where one of the files was read with other options, or is of another import
    that is not done.
    """
    loaded = [each.record.files for each in imports if each.record.is_done]
    for files in (*loaded, *((own,) if own else ())):
        _check_options(given, files)
    contents = {sha256 for files in (*loaded, *((own,) if own else ())) for sha256 in files.content}
    new = {each.sha256: each for each in given.files if each.sha256 not in contents}
    held = tuple(each for each in given.files if each.sha256 in contents)
    for each in imports:
        record = each.record
        if record.is_done or not set(new) & set(record.files.content):
            continue
        _check_options(given, record.files)
        if set(new) != set(record.files.content):
            msg = (
                f"import {each.id} has some of these files and is not done: finish it first, "
                f"with `{record.command(workspace)}`"
            )
            raise ImportRefusedError(msg)
        in_order = tuple(new[sha256] for sha256 in record.files.content)
        return Selection(msgspec.structs.replace(given, files=in_order), held, each)
    return Selection(msgspec.structs.replace(given, files=tuple(new.values())), held, None)


def interrupted_others(
    imports: Sequence[ImportFolder], resumed: ImportFolder | None, workspace: str | None = None
) -> Iterator[str]:
    """Yield a line for each import that is not done, but for the one that is resumed now."""
    for each in imports:
        if not each.record.is_done and each != resumed:
            command = each.record.command(workspace)
            yield f"import {each.id} is not done: `{command}` goes on with it"


def check_tables(given: TripFileSet, tables: dict[str, str | None]) -> None:
    """Raise ImportRefusedError where files name other tables than the system joins to all trips."""
    for name, path in given.tables.items():
        joined = tables[name]
        if joined is None or not _is_same_table(name, Path(path), Path(joined)):
            has = "no such table" if joined is None else joined
            msg = (
                f"--{name} {path}: the system joins one table of {name} to all of its trips, and "
                f"has {has}. Leave the option out"
            )
            raise ImportRefusedError(msg)


def _is_same_table(name: str, path: Path, joined: Path) -> bool:
    """Tell whether the system joins this table: that file, or the copy that a workspace has."""
    if path.resolve() == joined.resolve():
        return True
    return joined.is_file() and is_prepared_as(name, path, joined)


def _check_options(given: TripFileSet, held: TripFileSet) -> None:
    """Raise ImportRefusedError where files that are held were read with other options."""
    common = set(given.content) & set(held.content)
    if common and not held.is_parsed_as(given):
        files = [each for each in given.files if each.sha256 in common]
        msg = (
            f"{_names(files)}: in the log already, read with other options: "
            f"{_options(held)}; now: {_options(given)}"
        )
        raise ImportRefusedError(msg)


def _names(files: Sequence[TripFile]) -> str:
    return shlex.join(each.path for each in files)


def _options(files: TripFileSet) -> str:
    return " ".join(files.options) or "none"
