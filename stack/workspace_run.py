"""`just up FILE...`: the system on the trips of files, which are loaded once."""

import math
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final

import msgspec

from mobility.settings import TABLES, Settings
from mobility.trip_files import TripFileSet
from stack.checkout import module_environ
from stack.components import SystemComponent, component_environ, consumers
from stack.live_system import SystemPlan, describe_running, lock_folder, run_system
from stack.load_report import LoadReport
from stack.services import SERVICES, naming_variable
from stack.workspace import (
    Workspace,
    WorkspaceError,
    WorkspaceRecord,
    derived_name,
    find_workspace,
    open_workspace,
)

_FOREVER_HOURS: Final = "876600"
"""The longest retention that the settings take: a hundred years."""


def run_workspace(state: Path, name: str | None, arguments: Sequence[str]) -> int:
    """Run the system in a workspace until it is stopped; return the exit code.

    `arguments` are files with options of `producer.identify`; without them the workspace `name` is
    started again. Raises WorkspaceError before anything is started.
    """
    _refuse_other_services(os.environ)
    given = identify(arguments) if arguments else None
    if given is not None:
        workspace = open_workspace(state, name or derived_name(Path(given.given[0])))
    else:
        workspace = find_workspace(state, name or "")
    lock = lock_folder(workspace.folder)
    if lock is None:
        _check_running(workspace, given)
        sys.stdout.write(f"{describe_running(workspace.folder, _down(workspace))}\n")
        return 0
    with lock:
        to_load = files_to_load(workspace, given)
        held = _record(workspace, None).files
        lines = (_describe(workspace, to_load), *describe_zone(held, os.environ))
        sys.stdout.write("\n".join((*lines, "")))
        sys.stdout.flush()
        tables = prepare_tables(workspace, held)
        return run_system(workspace.folder, lock, _plan(workspace, held, tables, to_load))


class UnreadableFilesError(WorkspaceError):
    """Files that can't be read as trips; why, the producer has said."""


def identify(arguments: Sequence[str]) -> TripFileSet:
    """Return what files are, by the producer; raises UnreadableFilesError."""
    return msgspec.json.decode(_ask_producer("identify", *arguments), type=TripFileSet)


def prepare_tables(workspace: Workspace, held: TripFileSet) -> dict[str, str]:
    """Return the tables of files as the flow reads them; raises UnreadableFilesError."""
    if not held.tables:
        return {}
    folder = ("--folder", str(workspace.folder / "tables"))
    prepared = _ask_producer("prepare_tables", *folder, *_table_arguments(held))
    return msgspec.json.decode(prepared, type=dict[str, str])


def _ask_producer(module: str, *arguments: str) -> bytes:
    """Return what a module of the producer prints; raises UnreadableFilesError."""
    command = [sys.executable, "-m", f"producer.{module}", *arguments]
    found = subprocess.run(  # noqa: S603 - our own module
        command, stdout=subprocess.PIPE, env=module_environ(), check=False
    )
    if found.returncode:
        msg = "nothing was started"
        raise UnreadableFilesError(msg)
    return found.stdout


def files_to_load(workspace: Workspace, given: TripFileSet | None) -> TripFileSet | None:
    """Return the files whose trips are not all in the log, None if they are; record them.

    Raises WorkspaceError if the workspace has trips of other files, or they are read otherwise.
    """
    record = _record(workspace, given)
    if given is not None:
        check_same(workspace, record.files, given)
    if record.is_loaded:
        return None
    if given is None or given.content != record.files.content:
        _check_unchanged(workspace, record.files)
        return record.files
    workspace.save(WorkspaceRecord(given))  # the files may have moved
    return given


def _record(workspace: Workspace, given: TripFileSet | None) -> WorkspaceRecord:
    """Return what a workspace holds: the given files, as long as there is no trip of others."""
    record = workspace.record()
    if given is not None and (record is None or workspace.load_state() is None):
        record = WorkspaceRecord(given)
        workspace.save(record)
    if record is None:
        msg = f"workspace {workspace.name} holds no files"
        raise WorkspaceError(msg)
    return record


def check_same(workspace: Workspace, held: TripFileSet, given: TripFileSet) -> None:
    """Raise WorkspaceError unless a workspace holds these files, read in this way."""
    name = workspace.name
    if not held.has_files_of(given):
        names = ", ".join(held.given)
        msg = (
            f"workspace {name} holds other files: {names}. `just up --name {name}` starts it as "
            f"it is, and `just import FILE... --name {name}` adds files while it runs. Or give "
            "these a workspace of their own with another `--name`, or delete this one with "
            f"`just reset {name}`"
        )
        raise WorkspaceError(msg)
    if not held.is_read_as(given):
        msg = (
            f"workspace {name} holds these files, read with other options: "
            f"{_options(held)}; now: {_options(given)}. `just up --name {name}` starts it as it "
            "is; another `--name` loads them again"
        )
        raise WorkspaceError(msg)


def _check_unchanged(workspace: Workspace, held: TripFileSet) -> None:
    found = identify((*held.arguments, *_table_arguments(held)))
    if (found.content, found.mapping) != (held.content, held.mapping):
        msg = (
            f"the files of workspace {workspace.name} have changed since their loading began: "
            f"{', '.join(held.given)}. Put them back, or `just reset {workspace.name}`"
        )
        raise WorkspaceError(msg)


def _check_running(workspace: Workspace, given: TripFileSet | None) -> None:
    record = workspace.record()
    if record is not None and given is not None:
        check_same(workspace, record.files, given)


def _refuse_other_services(environ: Mapping[str, str]) -> None:
    named = [each for kind in SERVICES if (each := naming_variable(environ, kind.name))]
    if named:
        msg = (
            f"{', '.join(named)}: the files of `just up FILE` get Kafka, Redis and Postgres of "
            "their own. Unset it, or send the files there with `python -m producer FILE`"
        )
        raise WorkspaceError(msg)


def _plan(
    workspace: Workspace,
    held: TripFileSet,
    tables: Mapping[str, str],
    to_load: TripFileSet | None,
) -> SystemPlan:
    return SystemPlan(
        partial(_components, workspace, to_load),
        partial(workspace_environ, tables, name=workspace.name, timezone=held.timezone),
        LoadReport(workspace, is_loading=to_load is not None),
    )


def _components(
    workspace: Workspace, to_load: TripFileSet | None, folder: Path, settings: Settings
) -> tuple[SystemComponent, ...]:
    before = consumers(folder, settings)
    if to_load is None:
        return before
    how = ("--speed", "max", "--final", "--state", str(workspace.state_file))
    producer = SystemComponent(
        "producer",
        ("producer", *to_load.arguments, *how),
        runs="once",
        start_limit=math.inf,
        grace=30.0,
        is_shown=True,
    )
    return (*before, producer)


def workspace_environ(
    tables: Mapping[str, str],
    folder: Path,
    environ: Mapping[str, str],
    *,
    name: str,
    timezone: str = "UTC",
) -> dict[str, str]:
    """Return the environment of a workspace's components: with its tables, and no others.

    Local times of the API are those of the files, unless the caller has set another time zone.
    """
    others = {f"MOBILITY_{table.upper()}" for table in TABLES}
    kept = {name: value for name, value in environ.items() if name not in others}
    ours = {f"MOBILITY_{table.upper()}": path for table, path in tables.items()}
    ours["MOBILITY_WORKSPACE"] = name
    # No watermark is too old: the trips are from when they are from.
    defaults = {"MOBILITY_READY_AGE": "0", "MOBILITY_TIMEZONE": timezone}
    forever = {"MOBILITY_RETENTION_HOURS": _FOREVER_HOURS}
    return component_environ(folder, {**defaults, **kept, **ours, **forever})


def describe_zone(files: TripFileSet, environ: Mapping[str, str]) -> Iterator[str]:
    """Yield a line on the time zone that the API takes from files, unless theirs is UTC anyway."""
    if "MOBILITY_TIMEZONE" in environ:
        return
    if len(files.timezones) > 1:
        zones = ", ".join(files.timezones)
        yield f"the files have several time zones ({zones}): that of the API is UTC"
    elif files.timezone != "UTC":
        yield f"the time zone of the API is that of the files: {files.timezone}"


def _describe(workspace: Workspace, to_load: TripFileSet | None) -> str:
    which = f"workspace {workspace.name}"
    if to_load is None:
        return f"{which} holds these files: nothing is sent again"
    if workspace.load_state() is None:
        return f"{which} is new (another name: --name)"
    return f"{which}: its loading goes on; trips that are in the log are not sent again"


def _down(workspace: Workspace) -> str:
    return f"just down --name {workspace.name}"


def _options(files: TripFileSet) -> str:
    return " ".join((*files.options, *_table_arguments(files))) or "none"


def _table_arguments(files: TripFileSet) -> tuple[str, ...]:
    return tuple(
        part for table, path in sorted(files.tables.items()) for part in (f"--{table}", path)
    )
