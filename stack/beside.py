"""`python -m stack.beside FOLDER COMMAND...`: a command with the settings of the system beside it.

Where `just up` runs in the state folder, the command gets the very settings of its components;
what the caller set himself comes first. Where none runs, the command is run as it is.
"""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NoReturn

from mobility.settings import PREFIX
from stack.checkout import module_environ
from stack.processes import find

_UP: Final = "up"
_USAGE: Final = 2


def leave_settings(folder: Path, environ: Mapping[str, str]) -> None:
    """Leave the settings of the running system in its folder, for its owner only."""
    ours = {name: value for name, value in environ.items() if name.startswith(PREFIX)}
    draft = folder / "up.environ.new"
    draft.touch(mode=0o600)
    draft.write_text(json.dumps(ours))
    draft.replace(folder / "up.environ")


def settings_beside(folder: Path) -> dict[str, str]:
    """Return the settings of the system that runs in a folder, nothing where none does."""
    if find(folder, _UP) is None:
        return {}
    try:
        left: dict[str, str] = json.loads((folder / "up.environ").read_text())
    except FileNotFoundError:  # it is starting
        return {}
    return left


def main(arguments: Sequence[str]) -> NoReturn:
    """Become the command; exit with 2 where there is none."""
    if len(arguments) <= 1:
        sys.stderr.write("usage: python -m stack.beside FOLDER COMMAND...\n")
        raise SystemExit(_USAGE)
    folder, *command = arguments
    os.execvpe(  # noqa: S606 - the caller's own command
        command[0], command, {**settings_beside(Path(folder)), **module_environ(os.environ)}
    )


if __name__ == "__main__":
    main(sys.argv[1:])
