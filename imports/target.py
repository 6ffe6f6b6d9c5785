"""The system that gets the trips: its settings, and the folder of its state."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from imports.errors import ImportRefusedError
from mobility.settings import Settings, read_settings
from mobility.trip_files import TripFileSet
from stack.with_settings import running_settings
from stack.workspace import Workspace, find_workspace


@dataclass(frozen=True, slots=True)
class ImportTarget:
    """A running system. `workspace` is that of its files; None where others send trips, too."""

    settings: Settings
    state: Path
    workspace: Workspace | None = None

    @property
    def files(self) -> TripFileSet | None:
        """The files that its workspace was made of."""
        record = None if self.workspace is None else self.workspace.record()
        return None if record is None else record.files

    @property
    def name(self) -> str | None:
        """The name of its workspace."""
        return None if self.workspace is None else self.workspace.name

    def __str__(self) -> str:
        """Return what people call it."""
        if self.workspace is None:
            return f"the system at {self.settings.kafka}"
        return f"workspace {self.workspace.name}"


def find_target(state: Path, name: str | None, environ: Mapping[str, str]) -> ImportTarget:
    """Return the workspace `name` in a state folder, else the system that runs there.

    If none runs, it is the system that the environment names. Raises ImportRefusedError where the
    workspace does not run, or its own files are still loading; WorkspaceError where there is none;
    SettingsError.
    """
    if name is None:
        return ImportTarget(read_settings({**running_settings(state), **environ}), state)
    workspace = find_workspace(state, name)
    settings = running_settings(workspace.folder)
    if not settings:
        msg = f"workspace {name} is not running: `just up --name {name}` starts it"
        raise ImportRefusedError(msg)
    load = workspace.load_state()
    if load is None or not load.is_complete:
        # Trips of other dates would make those late that are still to come.
        msg = f"workspace {name} is still loading its own files: import others once it has them"
        raise ImportRefusedError(msg)
    # The variables of the caller may be of another system.
    return ImportTarget(read_settings({**environ, **settings}), workspace.folder, workspace)
