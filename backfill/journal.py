"""The journal of backfills: a folder for each, with its input, the windows before and after."""

import getpass
import io
import shutil
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal

import msgspec
import polars as pl

from backfill.correction_file import CorrectionFile, read_correction_file
from backfill.errors import BackfillError
from backfill.log_read import LogRead
from backfill.plan import ENTITY_WINDOW_SCHEMA, WindowChanges
from backfill.window_range import WindowRange, parse_window_range
from mobility.files import sync_folder, try_file_lock, write_atomically
from mobility.settings import Settings
from mobility.times import iso_time
from mobility.totals import upgrade_windows

_RECORD_FILE: Final = "record.json"
_FRAMES: Final = ("before", "after")


class RecordedFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file of corrections: its name and SHA-256 when it was given, and the name of its copy."""

    name: str
    sha256: str = msgspec.field(name="source")
    trips: int
    file: str


class BackfillRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The content of `record.json`. Its JSON names are stored and must not change.

    `log` names the topic and cluster of the backfill; one folder may serve several. `reverts` is
    the id of the backfill that this one reverts. `read` is what a recount has read; records of
    earlier releases lack it.
    """

    id: str
    log: str | None
    start: str = msgspec.field(name="from")
    end: str = msgspec.field(name="to")
    status: Literal["applying", "applied"]
    generation: int
    reverts: str | None = msgspec.field(name="takes_back")
    by: str
    started: str
    finished: str | None
    fingerprint: str
    inputs: tuple[RecordedFile, ...]
    counts: dict[str, dict[str, int]]
    read: LogRead | None = None

    @property
    def says_what_was_read(self) -> bool:
        """Whether an audit can compute what this record has written."""
        return self.read is not None or self.reverts is not None

    def window_range(self, settings: Settings) -> WindowRange:
        """Return the range that was recounted.

        Raises BackfillError where windows mean something else under these settings.
        """
        if self.fingerprint != settings.fingerprint:
            msg = (
                f"Backfill {self.id} was made with fingerprint {self.fingerprint}, these settings "
                f"have {settings.fingerprint}: {settings.answers}. Use those it was made with."
            )
            raise BackfillError(msg)
        return parse_window_range(self.start, self.end, settings)


class Journal:
    """The records of one log in a folder, in the order in which they were made.

    Without a log it has the records of all logs, and is for reading only.
    """

    def __init__(self, folder: Path, log: str | None, settings: Settings) -> None:
        self.folder = folder
        self._log = log
        self._settings = settings

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Lock the journal against other backfills; the lock ends with this process at the latest.

        Raises BackfillError where another backfill has it.
        """
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = try_file_lock(self.folder / "lock")
        if lock is None:
            msg = f"Another backfill is writing with the records in {self.folder}: wait for it."
            raise BackfillError(msg)
        with lock:
            yield

    def records(self) -> list[BackfillRecord]:
        """Return all records of this log. Raises BackfillError where one can't be read."""
        found = []
        for path in sorted(self.folder.glob(f"*/{_RECORD_FILE}")):
            if not path.parent.name.isdecimal():  # a crash left it incomplete
                continue
            try:
                record = msgspec.json.decode(path.read_bytes(), type=BackfillRecord)
            except msgspec.DecodeError as error:
                msg = f"{path} is not the record of a backfill: {error}"
                raise BackfillError(msg) from error
            if self._log in (None, record.log):
                found.append(record)
        return found

    def overlapping(self, window_range: WindowRange) -> list[BackfillRecord]:
        """Return the records of backfills that recounted windows of a range."""
        return [
            record
            for record in self.records()
            if record.window_range(self._settings).overlaps(window_range)
        ]

    def reverted(self) -> dict[str, str]:
        """Return the ids of reverted backfills, with the ids of those that reverted them."""
        return {
            record.reverts: record.id
            for record in self.records()
            if record.reverts is not None and record.status == "applied"
        }

    def has_unsaid(self, window_range: WindowRange) -> bool:
        """Tell whether windows of a range are right by a record that lacks what was read."""
        reverted = self.reverted()
        records = self.overlapping(window_range)
        saying = [
            None if each.read is None or each.id in reverted else each.window_range(self._settings)
            for each in records
        ]
        return any(
            not record.says_what_was_read
            and record.id not in reverted
            and not any(
                later is not None
                and later.covers(record.window_range(self._settings).within(window_range))
                for later in saying[number + 1 :]
            )
            for number, record in enumerate(records)
        )

    def effective_corrections(self, window_range: WindowRange) -> list[CorrectionFile]:
        """Return the corrections of applied backfills of these windows, oldest first.

        They are in no topic, so a recount without them would lose them.
        """
        reverted = self.reverted()
        return [
            self._read_corrections(record, given)
            for record in self.overlapping(window_range)
            if record.status == "applied" and record.id not in reverted
            for given in record.inputs
        ]

    def begin(
        self,
        window_range: WindowRange,
        changes: WindowChanges,
        corrections: Sequence[CorrectionFile],
        reverts: str | None,
        generation: int,
        read: LogRead | None,
    ) -> BackfillRecord:
        """Record a backfill that is about to write `changes`.

        After a crash the record is there as a whole or not at all.
        """
        record = BackfillRecord(
            id=self._next_id(),
            log=self._log,
            start=iso_time(window_range.start),
            end=iso_time(window_range.end),
            status="applying",
            generation=generation,
            reverts=reverts,
            by=f"{getpass.getuser()}@{socket.gethostname()}",
            started=_now(),
            finished=None,
            fingerprint=self._settings.fingerprint,
            inputs=tuple(
                RecordedFile(
                    name=file.name,
                    sha256=file.sha256,
                    trips=file.trips.height,
                    file=f"given-{number}.ndjson",
                )
                for number, file in enumerate(corrections, 1)
            ),
            counts=_counts(changes),
            read=read,
        )
        self._write_folder(record, changes, corrections)
        return record

    def finish(self, record: BackfillRecord) -> None:
        """Record that everything is written."""
        applied = msgspec.structs.replace(record, status="applied", finished=_now())
        path = self.folder / record.id / _RECORD_FILE
        write_atomically(path, _to_json(applied), durable=True)

    def read_changes(self, record: BackfillRecord) -> WindowChanges:
        """Return the windows before and after a backfill."""
        stored = (pl.read_parquet(self.folder / record.id / f"{name}.parquet") for name in _FRAMES)
        # Totals of earlier releases have 64 bits.
        return WindowChanges(*(upgrade_windows(rows).cast(ENTITY_WINDOW_SCHEMA) for rows in stored))

    def _next_id(self) -> str:
        names = [path.name for path in self.folder.iterdir() if path.name.isdecimal()]
        return f"{max(map(int, names), default=0) + 1:04}"

    def _write_folder(
        self, record: BackfillRecord, changes: WindowChanges, corrections: Sequence[CorrectionFile]
    ) -> None:
        draft = self.folder / f"{record.id}.draft"
        if draft.exists():
            shutil.rmtree(draft)
        draft.mkdir()
        for given, file in zip(record.inputs, corrections, strict=True):
            write_atomically(draft / given.file, file.json_lines, durable=True)
        for name in _FRAMES:
            frame: pl.DataFrame = getattr(changes, name)
            content = io.BytesIO()
            frame.write_parquet(content)
            write_atomically(draft / f"{name}.parquet", content.getvalue(), durable=True)
        write_atomically(draft / _RECORD_FILE, _to_json(record), durable=True)
        draft.rename(self.folder / record.id)
        sync_folder(self.folder)

    def _read_corrections(self, record: BackfillRecord, given: RecordedFile) -> CorrectionFile:
        path = self.folder / record.id / given.file
        copy = read_correction_file(path, record.window_range(self._settings), self._settings)
        return CorrectionFile(
            given.name, given.sha256, copy.window_range, copy.json_lines, copy.trips
        )


def _counts(changes: WindowChanges) -> dict[str, dict[str, int]]:
    """Return the numbers of windows by entity, and how many of them are emptied."""
    counts = changes.after.group_by("entity").agg(
        windows=pl.len(), emptied=(pl.col("trip_count") == 0).sum()
    )
    return {
        entity: {"windows": windows, "emptied": emptied}
        for entity, windows, emptied in counts.sort("entity").iter_rows()
    }


def _to_json(record: BackfillRecord) -> bytes:
    return msgspec.json.format(msgspec.json.encode(record), indent=2) + b"\n"


def _now() -> str:
    return iso_time(int(time.time()) * 1_000)
