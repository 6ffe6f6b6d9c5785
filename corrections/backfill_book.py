"""The book of backfills: a folder for each, with what it was given, found and wrote."""

import fcntl
import getpass
import io
import os
import shutil
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal

import msgspec
import polars as pl

from corrections.backfill_errors import BackfillError
from corrections.backfill_inputs import Corrections, read_corrections
from corrections.backfill_plan import Changes
from corrections.backfill_range import Range, read_range, shown
from mobility.settings import Settings
from mobility.totals import upgrade_windows

_RECORD: Final = "record.json"
_FRAMES: Final = ("before", "after")


class Input(msgspec.Struct, frozen=True, kw_only=True):
    """A file of corrections: its name and SHA-256 when it was given, and its copy in the record."""

    name: str
    source: str
    trips: int
    file: str


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """What stands in `record.json`.

    `log` says which log the backfill was made for; one folder may serve several. `takes_back` is
    the id of the backfill that this one undoes.
    """

    id: str
    log: str | None
    start: str = msgspec.field(name="from")
    end: str = msgspec.field(name="to")
    status: Literal["applying", "applied"]
    generation: int
    takes_back: str | None
    by: str
    started: str
    finished: str | None
    fingerprint: str
    inputs: tuple[Input, ...]
    counts: dict[str, dict[str, int]]

    def span(self, settings: Settings) -> Range:
        """Return the range that was recounted; raise BackfillError where windows are others now."""
        if self.fingerprint != settings.fingerprint:
            msg = (
                f"Backfill {self.id} was made with fingerprint {self.fingerprint}, these settings "
                f"have {settings.fingerprint}: {settings.answers}. Use those it was made with."
            )
            raise BackfillError(msg)
        return read_range(self.start, self.end, settings)


class Book:
    """The records of one log in a folder, in the order in which they were made.

    Without a log it is for reading only, and has those of all.
    """

    def __init__(self, folder: Path, log: str | None, settings: Settings) -> None:
        self.folder = folder
        self._log = log
        self._settings = settings

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the book, so that no two backfills write at once; it ends with this process.

        Raises BackfillError where another has it.
        """
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with (self.folder / "lock").open("a+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                msg = f"Another backfill is writing with the records in {self.folder}: wait for it."
                raise BackfillError(msg) from error
            yield

    def records(self) -> list[Record]:
        """Return all records of this log. Raises BackfillError where one can't be read."""
        found = []
        for path in sorted(self.folder.glob(f"*/{_RECORD}")):
            if not path.parent.name.isdecimal():  # a crash came before it was whole
                continue
            try:
                record = msgspec.json.decode(path.read_bytes(), type=Record)
            except msgspec.DecodeError as error:
                msg = f"{path} is no record of a backfill: {error}"
                raise BackfillError(msg) from error
            if self._log in (None, record.log):
                found.append(record)
        return found

    def about(self, span: Range) -> list[Record]:
        """Return the records whose range has windows of this one."""
        return [each for each in self.records() if each.span(self._settings).overlaps(span)]

    def undone(self) -> dict[str, str]:
        """Return the backfills that were taken back, and by which."""
        return {
            each.takes_back: each.id
            for each in self.records()
            if each.takes_back is not None and each.status == "applied"
        }

    def standing(self, span: Range) -> list[Corrections]:
        """Return the corrections that earlier backfills of these windows brought, oldest first.

        A recount would lose them otherwise: they are in no topic.
        """
        undone = self.undone()
        return [
            self._corrections(record, given)
            for record in self.about(span)
            if record.status == "applied" and record.id not in undone
            for given in record.inputs
        ]

    def begin(
        self,
        span: Range,
        changes: Changes,
        corrections: Sequence[Corrections],
        takes_back: str | None,
    ) -> Record:
        """Write down what is about to be written; whole or, after a crash, not at all."""
        counts = changes.after.group_by("entity").agg(
            windows=pl.len(), emptied=(pl.col("trip_count") == 0).sum()
        )
        names = [path.name for path in self.folder.iterdir() if path.name.isdecimal()]
        record = Record(
            id=f"{max(map(int, names), default=0) + 1:04}",
            log=self._log,
            start=shown(span.start),
            end=shown(span.end),
            status="applying",
            generation=changes.after["generation"].item(0),
            takes_back=takes_back,
            by=f"{getpass.getuser()}@{socket.gethostname()}",
            started=_now(),
            finished=None,
            fingerprint=self._settings.fingerprint,
            inputs=tuple(
                Input(name=c.name, source=c.source, trips=c.rows.height, file=f"given-{n}.ndjson")
                for n, c in enumerate(corrections, 1)
            ),
            counts={
                entity: {"windows": windows, "emptied": emptied}
                for entity, windows, emptied in counts.sort("entity").iter_rows()
            },
        )
        self._make(record, changes, corrections)
        return record

    def finish(self, record: Record) -> None:
        """Write down that all of it is written."""
        done = msgspec.structs.replace(record, status="applied", finished=_now())
        _write(self.folder / record.id / _RECORD, _as_json(done))

    def changes(self, record: Record) -> Changes:
        """Return the windows before and after a backfill."""
        return Changes(
            *(
                upgrade_windows(pl.read_parquet(self.folder / record.id / f"{name}.parquet"))
                for name in _FRAMES
            )
        )

    def _make(self, record: Record, changes: Changes, corrections: Sequence[Corrections]) -> None:
        draft = self.folder / f"{record.id}.draft"
        if draft.exists():
            shutil.rmtree(draft)
        draft.mkdir()
        for given, each in zip(record.inputs, corrections, strict=True):
            _write(draft / given.file, each.lines)
        for name in _FRAMES:
            frame: pl.DataFrame = getattr(changes, name)
            content = io.BytesIO()
            frame.write_parquet(content)
            _write(draft / f"{name}.parquet", content.getvalue())
        _write(draft / _RECORD, _as_json(record))
        draft.rename(self.folder / record.id)
        _sync(self.folder)

    def _corrections(self, record: Record, given: Input) -> Corrections:
        path = self.folder / record.id / given.file
        found = read_corrections(path, record.span(self._settings), self._settings)
        return Corrections(given.name, given.source, found.given_for, found.lines, found.rows)


def _write(path: Path, content: bytes) -> None:
    """Replace a file at once; it is on the disk on return."""
    draft = path.with_name(f"{path.name}.draft")
    with draft.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    _sync(path.parent)


def _sync(folder: Path) -> None:
    """Return when the names in a folder are on the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _as_json(record: Record) -> bytes:
    return msgspec.json.format(msgspec.json.encode(record), indent=2) + b"\n"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")[:-6] + "Z"
