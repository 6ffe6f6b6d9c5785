"""`python -m stack`: the services alone, in the background or around one command."""

import argparse
import asyncio
import os
import shlex
import sys
from pathlib import Path

from mobility.settings import SettingsError, read_settings
from stack.scratch import run
from stack.service import StartError
from stack.services import STATE_FOLDER, Report, down, service_environ, status, up


def main() -> int:
    """Run the command line; return its exit code."""
    arguments = _parser().parse_args()
    try:
        read_settings(os.environ)
        if arguments.command == "run":
            return asyncio.run(
                run(arguments.folder and arguments.folder.absolute(), arguments.argv)
            )
        return asyncio.run(
            _on_services(arguments.command, (arguments.folder or STATE_FOLDER).absolute())
        )
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except (StartError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except KeyboardInterrupt:
        return 130


async def _on_services(command: str, folder: Path) -> int:
    match command:
        case "up":
            return _show(await up(folder, os.environ))
        case "status":
            return _show(await status(folder, os.environ))
        case "env":
            return _export(await status(folder, os.environ))
    killed = await down(folder)
    for name in killed:
        sys.stderr.write(f"{name} did not stop in time and was killed\n")
    return 1 if killed else 0


def _show(reports: list[Report]) -> int:
    for report in reports:
        sys.stdout.write(f"{report}\n")
    return 0 if all(report.state in {"running", "given"} for report in reports) else 1


def _export(reports: list[Report]) -> int:
    if stopped := [report.name for report in reports if report.state == "stopped"]:
        sys.stderr.write(f"{', '.join(stopped)}: not running; `python -m stack up` starts them\n")
        return 1
    for name, url in service_environ(reports).items():
        sys.stdout.write(f"export {name}={shlex.quote(url)}\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m stack", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, does in (
        ("up", "start the services in the background; return once they are healthy"),
        ("down", "stop them"),
        ("status", "show state, URL, process id and log of each"),
        ("env", 'print what a shell needs: eval "$(python -m stack env)"'),
        ("run", "run a command on services of its own, which end with it"),
    ):
        command = commands.add_parser(name, help=does, description=does)
        command.add_argument(
            "--folder", type=Path, help="state folder (default: .mobility; run: a scratch one)"
        )
        if name == "run":
            command.add_argument("argv", nargs="+", metavar="COMMAND")
    return parser


if __name__ == "__main__":
    sys.exit(main())
