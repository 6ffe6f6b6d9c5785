"""The command `just backfill`: recounts closed windows; see docs/adr/0007."""

import os
from collections.abc import Sequence
from typing import Final

import polars as pl
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from rich.console import Console

from backfill.book import Book
from backfill.errors import BackfillError
from backfill.options import Options, parse
from backfill.places import DeliveryError
from backfill.report import show_records
from backfill.run import Run
from mobility.settings import Settings, SettingsError, read_settings
from mobility.topics import trips_topic
from sinks.store import StoreError

_FAILURES: Final = (
    DeliveryError,
    KafkaException,
    OSError,
    StoreError,
    TimeoutError,
    pl.exceptions.PolarsError,
)
_TIMEOUT: Final = 30.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a backfill; return 0 where it did what was asked, 2 where that is refused, else 1."""
    options = parse(arguments)
    console, errors = Console(), Console(stderr=True, soft_wrap=True, markup=False, highlight=False)
    try:
        settings = read_settings(os.environ)
        return _run(options, settings, console)
    except (BackfillError, SettingsError) as error:
        errors.print(str(error))
        return 2
    except _FAILURES as error:
        errors.print(
            f"backfill stopped: {error}\nIf it had begun to write, the same command finishes it."
        )
        return 1
    except KeyboardInterrupt:
        errors.print("backfill interrupted; if it had begun to write, the same command finishes it")
        return 130


def _run(options: Options, settings: Settings, console: Console) -> int:
    if options.listed:
        book = Book(options.records, None, settings)
        show_records(book.records(), book.undone(), console)
        return 0
    book = Book(options.records, _log(settings), settings)
    run = Run(settings, book, console, apply=options.apply, unrecorded=options.unrecorded)
    if options.take_back is not None:
        run.take_back(options.take_back)
    else:
        run.recount(options.start, options.end, options.corrections)
    return 0


def _log(settings: Settings) -> str:
    """Return the name of the log that is recounted: a topic of one cluster."""
    admin = AdminClient({"bootstrap.servers": settings.kafka, "log_level": 2})
    cluster = admin.list_topics(timeout=_TIMEOUT).cluster_id
    return f"{trips_topic(settings)} on cluster {cluster}"
