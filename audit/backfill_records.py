"""The records of backfills, by the audit's own reading: what each has recounted, read and written.

A record is a folder, `NNNN`, with `record.json`, the corrections that were given, and the windows
that it has written (`after.parquet`).
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, Literal

import msgspec
import polars as pl

from audit.window_sample import ENTITY_WINDOW_KEY, SAMPLE_SCHEMA
from broker.topics import log_name
from mobility.settings import Settings
from mobility.times import parse_time

RECORDS_FOLDER: Final = Path(".mobility/backfills")
"""Where a backfill writes its records if it is not told otherwise."""

KEY_SCHEMA: Final = pl.Schema({name: SAMPLE_SCHEMA[name] for name in ENTITY_WINDOW_KEY})


class TopicRead(msgspec.Struct, frozen=True):
    """How far a recount has read a topic: by partition the offset behind the last one."""

    topic_id: str | None
    ends: dict[int, int]


class LogRead(msgspec.Struct, frozen=True):
    """What a recount has read; `rules` are lines of the rules journal."""

    trips_stream: TopicRead
    trips_late: TopicRead
    rules: list[dict[str, Any]]


class GivenFile(msgspec.Struct, frozen=True):
    """Corrections: the SHA-256 of the file that was given, and the name of its copy."""

    source: str
    file: str


class BackfillRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A backfill. `reverts` is the id of the one that it reverts, `read` None of early releases."""

    id: str
    log: str | None
    start: str = msgspec.field(name="from")
    end: str = msgspec.field(name="to")
    status: Literal["applying", "applied"]
    generation: int
    reverts: str | None = msgspec.field(name="takes_back")
    fingerprint: str
    inputs: list[GivenFile]
    read: LogRead | None = None

    @property
    def number(self) -> int:
        """The number of the record: later ones have higher numbers."""
        return int(self.id)

    @property
    def first(self) -> int:
        """The start of the first window that it has recounted (epoch ms)."""
        return parse_time(self.start)

    @property
    def beyond(self) -> int:
        """The end of the last window that it has recounted (epoch ms)."""
        return parse_time(self.end)

    def covers(self) -> pl.Expr:
        """Return the condition that a window is in the range of the recount."""
        return pl.col("window_start").is_between(self.first, self.beyond, closed="left")

    def overlaps(self, first: int, beyond: int) -> bool:
        """Tell whether some window of a range (epoch ms, half-open) is in that of the recount."""
        return self.first < beyond and first < self.beyond


class BackfillRecords:
    """The records of the log of the settings in a folder, which need not exist."""

    def __init__(self, folder: Path, log: str, fingerprint: str) -> None:
        self.folder = folder
        self._log = log
        self._fingerprint = fingerprint

    def read(self) -> tuple[BackfillRecord, ...]:
        """Return the records in the order in which they were made.

        A record is there before the first of its windows is written, and applied after the last.
        Raises ValueError where one can't be read.
        """
        paths = self.folder.glob("*/record.json")
        found = [self._decode(path) for path in paths if path.parent.name.isdecimal()]
        ours = (self._log, self._fingerprint)
        return tuple(
            sorted(
                (each for each in found if (each.log, each.fingerprint) == ours),
                key=lambda record: record.number,
            )
        )

    def written(self, record: BackfillRecord) -> pl.DataFrame:
        """Return the windows (KEY_SCHEMA) that a backfill has written, or is writing."""
        return pl.read_parquet(
            self.folder / record.id / "after.parquet", columns=list(ENTITY_WINDOW_KEY)
        )

    def given_lines(self, record: BackfillRecord, file: str) -> list[bytes]:
        """Return the trips of a file of corrections, as JSON, in its order."""
        lines = (self.folder / record.id / file).read_bytes().split(b"\n")
        return [line for line in lines if line.strip()]

    @staticmethod
    def _decode(path: Path) -> BackfillRecord:
        try:
            return msgspec.json.decode(path.read_bytes(), type=BackfillRecord)
        except msgspec.DecodeError as error:
            msg = f"{path} is not the record of a backfill: {error}"
            raise ValueError(msg) from error


def open_records(folder: Path, settings: Settings) -> BackfillRecords:
    """Return the records of the log of these settings. Raises BrokerError."""
    return BackfillRecords(folder, log_name(settings), settings.fingerprint)


def reverted_by(records: Iterable[BackfillRecord]) -> set[str]:
    """Return the ids of the backfills that some of these have reverted."""
    return {each.reverts for each in records if each.reverts is not None}
