"""The command `just import`: adds files to a running system; see docs/adr/0029."""

import os
import sys
from collections.abc import Sequence
from typing import Final

import polars as pl
from rich.console import Console

from backfill.errors import BackfillError
from broker.errors import BrokerError, DeliveryError
from imports.errors import ImportRefusedError, ImportStoppedError
from imports.options import parse_options
from imports.run import ImportRun
from imports.target import find_target
from mobility.settings import SettingsError
from producer.formats.errors import TripsFileError
from producer.schedule import SystemClock
from producer.state import ReplayStateError
from sinks.store import StoreError
from stack.workspace import WorkspaceError

_REFUSALS: Final = (
    BackfillError,
    ImportRefusedError,
    ReplayStateError,
    SettingsError,
    TripsFileError,
    WorkspaceError,
)
_FAILURES: Final = (BrokerError, DeliveryError, OSError, StoreError, pl.exceptions.PolarsError)
_CONTINUES: Final = "the same command goes on where it was, and counts each trip once"


def main(arguments: Sequence[str] | None = None) -> int:
    """Import files; return 0, 1 where it failed, 2 where it is refused, 130 if interrupted."""
    found = parse_options(arguments)
    console = Console(stderr=True, soft_wrap=True, markup=False, highlight=False)
    try:
        target = find_target(found.folder.absolute(), found.name, os.environ)
        report = ImportRun(target, found, console, SystemClock()).run()
    except _REFUSALS as error:
        console.print(str(error))
        return 2
    except _FAILURES as error:
        console.print(f"import stopped: {error}\n{_CONTINUES}")
        return 1
    except (ImportStoppedError, KeyboardInterrupt):
        console.print(f"import interrupted: {_CONTINUES}")
        return 130
    if report is not None:
        sys.stdout.write("".join(f"{line}\n" for line in report.lines()))
    return 0
