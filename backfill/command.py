"""The command `just backfill`: recounts complete windows; see docs/adr/0007."""

import os
from collections.abc import Sequence
from typing import Final

import polars as pl
from rich.console import Console

from backfill.errors import BackfillError
from backfill.journal import Journal
from backfill.options import BackfillOptions, parse_options
from backfill.report import print_records
from backfill.run import BackfillRun
from broker.errors import BrokerError, DeliveryError
from broker.topics import log_name
from mobility.settings import Settings, SettingsError, read_settings
from sinks.store import StoreError

_FAILURES: Final = (
    BrokerError,
    DeliveryError,
    OSError,
    StoreError,
    pl.exceptions.PolarsError,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return 0 where it did what was asked, 2 where it is refused, else 1."""
    options = parse_options(arguments)
    console, errors = Console(), Console(stderr=True, soft_wrap=True, markup=False, highlight=False)
    try:
        settings = read_settings(os.environ)
        _run(options, settings, console)
    except (BackfillError, SettingsError) as error:
        errors.print(str(error))
        return 2
    except _FAILURES as error:
        errors.print(
            f"backfill stopped: {error}\n"
            "If it had started to write, run the same command again: it finishes the backfill."
        )
        return 1
    except KeyboardInterrupt:
        errors.print(
            "backfill interrupted. "
            "If it had started to write, run the same command again: it finishes the backfill."
        )
        return 130
    return 0


def _run(options: BackfillOptions, settings: Settings, console: Console) -> None:
    if options.list_records:
        journal = Journal(options.journal_folder, None, settings)
        print_records(journal.records(), journal.reverted(), console)
        return
    journal = Journal(options.journal_folder, log_name(settings), settings)
    run = BackfillRun(
        settings,
        journal,
        console,
        apply=options.apply,
        allow_unrecorded=options.allow_unrecorded,
    )
    if options.reverts is not None:
        run.revert(options.reverts)
    else:
        run.recount(options.start, options.end, options.corrections)
