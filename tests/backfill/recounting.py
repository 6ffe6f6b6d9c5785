"""A recount of messages, without Kafka: as a backfill reads, keeps and counts them."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import polars as pl
from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME, Message

from backfill.correction_file import CorrectionFile, read_correction_file
from backfill.decoding import LogDecoder
from backfill.log_batch import late_batch, logged_batch
from backfill.log_rules import LogRules
from backfill.plan import given_trips, recount
from backfill.trip_files import open_trip_files
from backfill.trip_log import RangeScan
from backfill.window_range import WindowRange
from mobility.records import MAX_EVENT_TIME
from mobility.settings import Settings
from mobility.values import JSON

TOPIC = "trips_stream"

Headers = list[tuple[str, str | bytes | None]]


def to_message(
    partition: int,
    offset: int,
    value: bytes | None,
    watermark: bytes | None = None,
    appended: int = MAX_EVENT_TIME,
) -> Message:
    """Return a message of the log; one with a watermark is a punctuation."""
    headers: Headers = [] if watermark is None else [("watermark", watermark)]
    return Message(
        topic=TOPIC,
        partition=partition,
        offset=offset,
        value=value,
        headers=headers,
        timestamp=(TIMESTAMP_LOG_APPEND_TIME, appended),
    )


def to_late(message: Message) -> Message:
    """Return a message of `trips_late`, as the flow writes it."""
    headers: Headers = [
        ("topic", TOPIC.encode()),
        ("partition", str(message.partition()).encode()),
        ("offset", str(message.offset()).encode()),
    ]
    return Message(topic="trips_late", value=message.value(), headers=headers)


@dataclass(frozen=True, slots=True)
class Recounting:
    """A recount: the scan of the log, and what it takes to count the trips that it has found."""

    scan: RangeScan
    decoder: LogDecoder

    def read(self, messages: Sequence[Message]) -> None:
        """Read messages of `trips_stream`."""
        for decoded in self.decoder.decode(logged_batch(messages)):
            self.scan.add_logged(decoded)

    def read_late(self, messages: Sequence[Message]) -> None:
        """Read messages of `trips_late`."""
        for decoded in self.decoder.decode(late_batch(messages, TOPIC)):
            self.scan.add(decoded)

    def windows(self, corrections: Iterable[CorrectionFile] = ()) -> pl.DataFrame:
        """Return the windows of all parts of the range."""
        settings, tables = self.scan.settings, self.decoder.rules.newest_tables
        given = [given_trips(each, tables, settings) for each in corrections]
        files = self.scan.files
        parts = files.parts(*(each.trips["window_start"] for each in given))
        return pl.concat([recount(files.read(part), given, part, settings) for part in parts])


@contextmanager
def recounting(
    settings: Settings, window_range: WindowRange, trip_ids: Sequence[str] = ()
) -> Iterator[Recounting]:
    """Yield a recount of a range that has read nothing yet."""
    named = pl.Series("trip_id", trip_ids, dtype=pl.String)
    with open_trip_files(window_range, settings) as files:
        scan = RangeScan(settings, window_range, named, files)
        yield Recounting(scan, LogDecoder(settings, LogRules(settings), JSON))


def correction_file(
    folder: Path,
    values: Sequence[bytes | None],
    window_range: WindowRange,
    settings: Settings,
    number: int,
) -> CorrectionFile:
    """Write corrections to a file and read it."""
    file = folder / f"{number}.ndjson"
    # Blank lines give equal trips different hashes: a file that is given twice is another test.
    file.write_bytes(b"\n" * number + b"\n".join(value or b"" for value in values))
    return read_correction_file(file, window_range, settings)
