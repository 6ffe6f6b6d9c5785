"""`python -m stack.with_settings FOLDER COMMAND...`: a command with a running system's settings.

If `just up` runs in the state folder, the command gets the settings of its components; variables
that the caller has set take precedence. Otherwise the command is run without changes. With
`--name NAME` among its arguments it gets those of that workspace, whose folder then takes the place
of the state folder in the others.
"""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NoReturn

from mobility.files import write_atomically
from mobility.settings import PREFIX
from stack.checkout import module_environ
from stack.processes import find_process
from stack.workspace import workspace_folder

_UP: Final = "up"
_NAME: Final = "--name"
_USAGE: Final = 2


def save_settings(folder: Path, environ: Mapping[str, str]) -> None:
    """Save the settings of a running system in its folder, readable by its owner only."""
    settings = {name: value for name, value in environ.items() if name.startswith(PREFIX)}
    write_atomically(folder / "up.environ", json.dumps(settings), mode=0o600)


def running_settings(folder: Path) -> dict[str, str]:
    """Return the settings of the system that runs in a folder; empty if none runs."""
    if find_process(folder, _UP) is None:
        return {}
    try:
        settings: dict[str, str] = json.loads((folder / "up.environ").read_text())
    except FileNotFoundError:  # it is starting
        return {}
    return settings


def main(arguments: Sequence[str]) -> NoReturn:
    """Replace this process by the command; exit with 2 without one."""
    if len(arguments) <= 1:
        sys.stderr.write("usage: python -m stack.with_settings FOLDER COMMAND...\n")
        raise SystemExit(_USAGE)
    folder, *command = arguments
    state = Path(folder)
    if _NAME in command[:-1]:
        state, command = _in_workspace(state, command)
    os.execvpe(  # noqa: S606 - the caller's own command
        command[0], command, {**running_settings(state), **module_environ(os.environ)}
    )


def _in_workspace(folder: Path, command: list[str]) -> tuple[Path, list[str]]:
    """Return the folder of a running workspace, and a command on it; exit with 2 if it is not."""
    at = command.index(_NAME)
    name = command[at + 1]
    state = workspace_folder(folder, name)
    if find_process(state, _UP) is None:
        sys.stderr.write(f"workspace {name} is not running: `just up --name {name}` starts it\n")
        raise SystemExit(_USAGE)
    words = command[:at] + command[at + 2 :]
    inside = f"{folder}{os.sep}"
    return state, [
        str(state / word.removeprefix(inside)) if word.startswith(inside) else word
        for word in words
    ]


if __name__ == "__main__":
    main(sys.argv[1:])
