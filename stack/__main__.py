"""`python -m stack`: the services only, in the background or for one command."""

import argparse
import asyncio
import os
import shlex
import sys
from pathlib import Path
from typing import Final

from mobility.settings import SettingsError, read_settings
from stack.scratch import run_with_services
from stack.service import StackStartError
from stack.services import (
    STATE_FOLDER,
    ServiceReport,
    service_environ,
    service_reports,
    start_services,
    stop_services,
)

_DESCRIPTION: Final = (
    "Kafka, Redis and Postgres on this machine: in the background or for one command."
)


def main() -> int:
    """Run the command line; return its exit code."""
    arguments = _parser().parse_args()
    try:
        read_settings(os.environ)
        if arguments.command == "run":
            return asyncio.run(
                run_with_services(arguments.folder and arguments.folder.absolute(), arguments.argv)
            )
        return asyncio.run(
            _run_command(arguments.command, (arguments.folder or STATE_FOLDER).absolute())
        )
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except (StackStartError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except KeyboardInterrupt:
        return 130


async def _run_command(command: str, folder: Path) -> int:
    match command:
        case "up":
            return _print_reports(await start_services(folder, os.environ))
        case "status":
            return _print_reports(await service_reports(folder, os.environ))
        case "env":
            return _print_exports(await service_reports(folder, os.environ))
    killed = await stop_services(folder)
    for name in killed:
        sys.stderr.write(f"{name} did not stop in time and was killed\n")
    return 1 if killed else 0


def _print_reports(reports: list[ServiceReport]) -> int:
    for report in reports:
        sys.stdout.write(f"{report}\n")
    return 0 if all(report.state in {"running", "external"} for report in reports) else 1


def _print_exports(reports: list[ServiceReport]) -> int:
    if stopped := [report.name for report in reports if report.state == "stopped"]:
        sys.stderr.write(f"{', '.join(stopped)}: not running; `python -m stack up` starts them\n")
        return 1
    for name, url in service_environ(reports).items():
        sys.stdout.write(f"export {name}={shlex.quote(url)}\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m stack", description=_DESCRIPTION)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, description in (
        ("up", "start the services in the background; return once they are healthy"),
        ("down", "stop the services"),
        ("status", "show state, URL, process id and log of each service"),
        ("env", 'print variables for a shell: eval "$(python -m stack env)"'),
        ("run", "run a command with new services, which are stopped when it ends"),
    ):
        command = commands.add_parser(name, help=description, description=description)
        command.add_argument(
            "--folder",
            type=Path,
            help="state folder (default: .mobility; for run: a temporary one)",
        )
        if name == "run":
            command.add_argument("argv", nargs="+", metavar="COMMAND")
    return parser


if __name__ == "__main__":
    sys.exit(main())
