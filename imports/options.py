"""The command line of `just import`."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from producer.identify import add_file_options
from stack.services import STATE_FOLDER
from stack.workspace import workspace_name

_DESCRIPTION: Final = (
    "Add the trips of files to a running system: all are sent to its log, and windows that were "
    "complete already are recounted."
)


def parse_options(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line; exit with 2 and the usage where it is wrong.

    Beside what `add_file_options` adds there are `name`, of a workspace or None, and `folder`, the
    state folder.
    """
    parser = argparse.ArgumentParser(
        prog="just import",
        usage="just import FILE... [--name NAME] [options]",
        description=_DESCRIPTION,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add(
        "--name",
        type=workspace_name,
        help="the workspace (default: the system of `just up` without files, else that of the "
        "settings)",
    )
    add("--folder", type=Path, default=STATE_FOLDER, help=f"state folder (default: {STATE_FOLDER})")
    add_file_options(parser)
    return parser.parse_args(arguments)
