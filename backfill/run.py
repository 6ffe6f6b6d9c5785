"""One run of the backfill command: check, recount, show the changes, write them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import polars as pl
from rich.console import Console

from backfill.callbacks import OnStatus
from backfill.correction_file import CorrectionFile, read_correction_file
from backfill.current_windows import (
    read_current_windows,
    refuse_dropped,
    refuse_incomplete,
    refuse_incomplete_in,
)
from backfill.decoding import LogDecoder, open_decoder
from backfill.errors import BackfillError
from backfill.journal import BackfillRecord, Journal
from backfill.log_read import LogRead
from backfill.plan import (
    ENTITY_WINDOW_KEY,
    WindowChanges,
    diff_windows,
    given_trips,
    plan_changes,
)
from backfill.report import print_changes, print_outside_trips, print_refused
from backfill.trip_files import TripFiles, open_trip_files
from backfill.trip_log import RangeScan, read_late_trips, read_logged_trips
from backfill.window_range import WindowRange, parse_window_range
from backfill.writing import open_stores, write_windows
from mobility.rules_journal import NOT_KNOWN
from mobility.settings import Settings
from mobility.topics import late_topic, trips_topic
from sinks.store import WindowStore


@dataclass(frozen=True, slots=True)
class Recounted:
    """How many windows a recount has written, and how many of them are too old for Redis."""

    windows: int = 0
    refused: int = 0


@dataclass(frozen=True, slots=True)
class _Plan:
    """What a backfill writes, with which generation, and what it has read of the log, if it did."""

    changes: WindowChanges
    generation: int
    read: LogRead | None = None


@dataclass(frozen=True, slots=True)
class BackfillRun:
    """A backfill against running services; without `apply` nothing is written.

    `shows_changes`: some of the windows are printed as they were and as they will be.
    """

    settings: Settings
    journal: Journal
    console: Console
    apply: bool
    allow_unrecorded: bool
    shows_changes: bool = True

    def recount(self, start: str, end: str, files: Sequence[Path]) -> Recounted:
        """Recount the windows of a range. Raises BackfillError where that is refused."""
        settings = self.settings
        window_range = parse_window_range(start, end, settings)
        given = [read_correction_file(path, window_range, settings) for path in files]
        with self._locked(), open_stores(settings) as stores:
            unfinished = self._find_unfinished(window_range)
            if unfinished is not None:
                if not self._is_same(unfinished, window_range, given):
                    self._refuse_until_finished(unfinished)
                return self._finish(unfinished, stores)
            refuse_dropped(window_range, settings)
            for store in stores:
                refuse_incomplete_in(store, window_range, settings)
            plan = self._plan(window_range, given)
            return self._apply(plan, stores, window_range, given)

    def revert(self, backfill: str) -> None:
        """Restore the windows from before a backfill. Raises BackfillError where it is refused."""
        record = self._find_revertible(backfill)
        window_range = record.window_range(self.settings)
        with self._locked(), open_stores(self.settings) as stores:
            unfinished = self._find_unfinished(window_range)
            if unfinished is not None:
                if unfinished.reverts != backfill:
                    self._refuse_until_finished(unfinished)
                self._finish(unfinished, stores)
                return
            refuse_dropped(window_range, self.settings)
            made = self.journal.read_changes(record)
            self._refuse_recounted_later(record, made)
            with self._status("current windows") as on_status:
                current = read_current_windows(self.settings, window_range, on_status)
            generation = self._next_generation(window_range, current)
            touched = current.join(made.after, on=ENTITY_WINDOW_KEY, how="semi")
            wanted = made.before.filter(pl.col("trip_count") > 0)
            plan = _Plan(diff_windows(wanted, touched, generation), generation)
            self._apply(plan, stores, window_range, reverts=record.id)

    def _plan(self, window_range: WindowRange, given: Sequence[CorrectionFile]) -> _Plan:
        """Recount the windows of a range, and return what differs from the current ones."""
        settings = self.settings
        if settings.recovery_dir is None:
            self._print(f"{NOT_KNOWN}.")
        decoder = open_decoder(settings)
        tables = decoder.rules.newest_tables
        with open_trip_files(window_range, settings) as files:
            read = self._read_trips(window_range, given, decoder, files)
            with self._status("current windows") as on_status:
                current = read_current_windows(settings, window_range, on_status)
            generation = self._next_generation(window_range, current)
            corrections = [*self.journal.effective_corrections(window_range), *given]
            with self._status("recounting the windows"):
                applied = [given_trips(each, tables, settings) for each in corrections]
                changes = plan_changes(files, applied, current, settings, generation)
            return _Plan(changes, generation, read)

    def _read_trips(
        self,
        window_range: WindowRange,
        given: Sequence[CorrectionFile],
        decoder: LogDecoder,
        files: TripFiles,
    ) -> LogRead:
        """Read the trips of a range to files, and return what was read of the log.

        Warns of trips that corrections leave elsewhere. Raises IncompleteRangeError where further
        trips of the range need not be late.
        """
        settings = self.settings
        ids = [file.trips["trip_id"] for file in given]
        trip_ids = pl.concat([pl.Series(dtype=pl.String), *ids]).drop_nulls().unique()
        scan = RangeScan(settings, window_range, trip_ids, files)
        topic = trips_topic(settings)
        with self._status(f"trips in {topic}") as on_status:
            logged = read_logged_trips(scan, decoder, lambda n: on_status(f"{n:,} read"))
        refuse_incomplete(window_range, settings, scan.watermark(logged.ends), topic)
        with self._status(f"trips in {late_topic(settings)}") as on_status:
            late = read_late_trips(scan, decoder, lambda n: on_status(f"{n:,} read"))
        print_outside_trips(scan.outside_trips(), self.console)
        return LogRead(logged, late, decoder.rules.lines)

    def _next_generation(self, window_range: WindowRange, current: pl.DataFrame) -> int:
        """Return a generation above all that the windows of the range have had."""
        records = self.journal.overlapping(window_range)
        recorded = max((record.generation for record in records), default=0)
        highest = int(current["generation"].max() or 0)  # type: ignore[arg-type]
        if highest > recorded and not self.allow_unrecorded:
            msg = (
                f"Windows of {window_range} have generation {highest}, and {self.journal.folder} "
                "has no record of that backfill: its corrections would be lost. Name the folder "
                "that has it with --records, or continue without its corrections with --unrecorded."
            )
            raise BackfillError(msg)
        return 1 + max(recorded, highest)

    def _apply(
        self,
        plan: _Plan,
        stores: Sequence[WindowStore],
        window_range: WindowRange,
        given: Sequence[CorrectionFile] = (),
        reverts: str | None = None,
    ) -> Recounted:
        """Print the changes; with `apply` record and write them."""
        if plan.changes.after.is_empty():
            self._print("No difference: the recount gives the current windows.")
            if self.apply and not given and plan.read is not None:
                self._record_read(plan, window_range)
            return Recounted()
        if self.shows_changes:
            print_changes(plan.changes, self.console)
        if not self.apply:
            self._print("Nothing was written. Run it with --apply to write this.")
            return Recounted()
        record = self.journal.begin(
            window_range, plan.changes, given, reverts, plan.generation, plan.read
        )
        return self._finish(record, stores)

    def _record_read(self, plan: _Plan, window_range: WindowRange) -> None:
        """Record a recount without a difference, where no record says what was read before."""
        records = self.journal.overlapping(window_range)
        recorded = max((record.generation for record in records), default=0)
        is_recorded = plan.generation == recorded + 1
        if is_recorded and not self.journal.has_unsaid(window_range):
            return
        record = self.journal.begin(
            window_range, plan.changes, (), None, plan.generation, plan.read
        )
        self.journal.finish(record)
        self._print(
            f"Backfill {record.id} is recorded: it says what was read, so that an audit can "
            f"compare these windows. Its record is {self.journal.folder / record.id}."
        )

    def _finish(self, record: BackfillRecord, stores: Sequence[WindowStore]) -> Recounted:
        """Write all windows of a record, and mark it as applied."""
        if not self.apply:
            self._print(f"Backfill {record.id} is not finished. Run it with --apply to finish it.")
            return Recounted()
        windows = self.journal.read_changes(record).after
        with self._status(f"writing {windows.height:,} windows") as on_status:
            refused = write_windows(self.settings, stores, windows, on_status)
        self.journal.finish(record)
        print_refused(refused, self.console)
        self._print(
            f"Backfill {record.id} is applied: {windows.height:,} windows, generation "
            f"{record.generation}. Its record is {self.journal.folder / record.id}."
        )
        return Recounted(windows.height, refused.height)

    def _find_unfinished(self, window_range: WindowRange) -> BackfillRecord | None:
        """Return the backfill of these windows that a crash has interrupted, if there is one."""
        records = self.journal.overlapping(window_range)
        return next((record for record in records if record.status == "applying"), None)

    def _is_same(
        self, record: BackfillRecord, window_range: WindowRange, given: Sequence[CorrectionFile]
    ) -> bool:
        """Return whether a record is of a recount of this range with these files."""
        return (
            record.reverts is None
            and record.window_range(self.settings) == window_range
            and [file.sha256 for file in record.inputs] == [file.sha256 for file in given]
        )

    def _refuse_until_finished(self, record: BackfillRecord) -> None:
        if record.reverts is not None:
            command = f"--take-back {record.reverts}"
        else:
            files = "".join(f" {given.name}" for given in record.inputs)
            command = f"--from {record.start} --to {record.end}" + f" --with{files}" * bool(files)
        msg = (
            f"Backfill {record.id} of the same windows is not finished. Finish it first: "
            f"just backfill {command} --apply"
        )
        raise BackfillError(msg)

    def _find_revertible(self, backfill: str) -> BackfillRecord:
        """Return the record of a backfill that can be reverted."""
        record = next((each for each in self.journal.records() if each.id == backfill), None)
        reverted = self.journal.reverted()
        if record is None:
            msg = f"{self.journal.folder} has no backfill {backfill} of this log: see --list."
        elif record.reverts is not None:
            msg = f"{backfill} is itself a revert of {record.reverts}: run that backfill again."
        elif record.id in reverted:
            msg = f"Backfill {backfill} is reverted already, by {reverted[backfill]}."
        else:
            return record
        raise BackfillError(msg)

    def _refuse_recounted_later(self, record: BackfillRecord, made: WindowChanges) -> None:
        """Raise BackfillError where a later backfill has recounted the same windows."""
        reverted = self.journal.reverted()
        for later in self.journal.overlapping(record.window_range(self.settings)):
            if later.id <= record.id or later.reverts is not None or later.id in reverted:
                continue
            theirs = self.journal.read_changes(later).after
            if theirs.join(made.after, on=ENTITY_WINDOW_KEY, how="semi").height:
                msg = (
                    f"Backfill {later.id} recounted some of the same windows after {record.id}: "
                    f"revert {later.id} first."
                )
                raise BackfillError(msg)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with self.journal.lock() if self.apply else nullcontext():
            yield

    @contextmanager
    def _status(self, title: str) -> Iterator[OnStatus]:
        with self.console.status(title) as status:
            yield lambda text: status.update(f"{title}  {text}")

    def _print(self, text: str) -> None:
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)
