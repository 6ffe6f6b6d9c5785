"""One backfill, from the question to the last write."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import polars as pl
from rich.console import Console

from corrections.backfill_book import Book, Record
from corrections.backfill_errors import BackfillError
from corrections.backfill_held import Say, held_windows, refuse_open, refuse_open_in
from corrections.backfill_inputs import Corrections, read_corrections
from corrections.backfill_log import read_late_trips, read_trips_log
from corrections.backfill_places import open_store, write
from corrections.backfill_plan import KEY, Changes, changes, recounted
from corrections.backfill_range import Range, read_range
from corrections.backfill_report import show_changes, show_elsewhere, show_refused
from mobility.settings import Settings
from mobility.topics import late_topic, trips_topic
from sinks.store import WindowStore


@dataclass(frozen=True, slots=True)
class Run:
    """A backfill against running services; without `apply` nothing is written."""

    settings: Settings
    book: Book
    console: Console
    apply: bool
    unrecorded: bool

    def recount(self, start: str, end: str, files: Sequence[Path]) -> None:
        """Recount the windows of a range. Raises BackfillError where it is refused."""
        settings = self.settings
        span = read_range(start, end, settings)
        given = [read_corrections(path, span, settings) for path in files]
        with self._book(), open_store(settings) as store:
            begun = self._begun(span)
            if begun is not None:
                sources = [each.source for each in given], [each.source for each in begun.inputs]
                if begun.takes_back or begun.span(settings) != span or sources[0] != sources[1]:
                    self._refuse_beside(begun)
                self._finish(begun, store)
                return
            if store is not None:
                refuse_open_in(store, span, settings)
            found = self._recounted(span, given)
            self._settle(found, store, span, given)

    def take_back(self, backfill: str) -> None:
        """Restore the windows from before a backfill. Raises BackfillError where it is refused."""
        record = self._backfill(backfill)
        span = record.span(self.settings)
        with self._book(), open_store(self.settings) as store:
            begun = self._begun(span)
            if begun is not None:
                if begun.takes_back != backfill:
                    self._refuse_beside(begun)
                self._finish(begun, store)
                return
            made = self.book.changes(record)
            self._refuse_covered(record, made)
            with self._status("what the windows hold now") as say:
                held = held_windows(self.settings, span, say)
            generation = self._generation(span, held)
            touched = held.join(made.after, on=KEY, how="semi")
            wanted = made.before.filter(pl.col("trip_count") > 0)
            self._settle(changes(wanted, touched, generation), store, span, takes_back=record.id)

    def _recounted(self, span: Range, given: Sequence[Corrections]) -> Changes:
        settings = self.settings
        ids = [each.rows["trip_id"] for each in given]
        asked = pl.concat([pl.Series(dtype=pl.String), *ids]).drop_nulls().unique()
        with self._status(f"trips in {trips_topic(settings)}") as say:
            logged, reached = read_trips_log(settings, span, asked, lambda n: say(f"{n:,} read"))
        refuse_open(span, settings, reached, trips_topic(settings))
        with self._status(f"trips in {late_topic(settings)}") as say:
            late = read_late_trips(settings, span, lambda n: say(f"{n:,} read"))
        with self._status("what the windows hold now") as say:
            held = held_windows(settings, span, say)
        generation = self._generation(span, held)
        standing = self.book.standing(span)
        with self._status("the windows, in one batch"):
            trips = pl.concat([*logged.trips, late])
            wanted = recounted(trips, [*standing, *given], span, settings)
        show_elsewhere(pl.concat(logged.elsewhere), self.console)
        return changes(wanted, held, generation)

    def _generation(self, span: Range, held: pl.DataFrame) -> int:
        """Return the generation of a new recount: above all that the range has seen."""
        told = max((each.generation for each in self.book.about(span)), default=0)
        highest = int(held["generation"].max() or 0)  # type: ignore[arg-type]
        if highest > told and not self.unrecorded:
            msg = (
                f"Windows of {span} come from generation {highest}, of which the records in "
                f"{self.book.folder} know nothing: its corrections would be lost. Name the folder "
                "that has them with --records, or go on without them with --unrecorded."
            )
            raise BackfillError(msg)
        return 1 + max(told, highest)

    def _settle(
        self,
        found: Changes,
        store: WindowStore | None,
        span: Range,
        given: Sequence[Corrections] = (),
        takes_back: str | None = None,
    ) -> None:
        if found.after.is_empty():
            self._say("No difference: every window is as the recount has it.")
            return
        show_changes(found, self.console)
        if not self.apply:
            self._say("Nothing was written. With --apply it is.")
            return
        record = self.book.begin(span, found, given, takes_back)
        self._finish(record, store)

    def _finish(self, record: Record, store: WindowStore | None) -> None:
        """Write what a record says, from its beginning, and mark it as applied."""
        if not self.apply:
            self._say(f"Backfill {record.id} was begun and not finished. With --apply it is.")
            return
        after = self.book.changes(record).after
        with self._status(f"writing {after.height:,} windows") as say:
            refused = write(self.settings, store, after, say)
        self.book.finish(record)
        show_refused(refused, self.console)
        self._say(
            f"Backfill {record.id} is applied: {after.height:,} windows, generation "
            f"{record.generation}. Its record is {self.book.folder / record.id}."
        )

    def _begun(self, span: Range) -> Record | None:
        """Return the backfill that a crash has left half-written in a range, if there is one."""
        begun = (each for each in self.book.about(span) if each.status == "applying")
        return next(begun, None)

    def _refuse_beside(self, begun: Record) -> None:
        if begun.takes_back is not None:
            command = f"--take-back {begun.takes_back}"
        else:
            files = "".join(f" {given.name}" for given in begun.inputs)
            command = f"--from {begun.start} --to {begun.end}" + (f" --with{files}" * bool(files))
        msg = (
            f"Backfill {begun.id} of the same windows was begun and not finished. Finish it first: "
            f"just backfill {command} --apply"
        )
        raise BackfillError(msg)

    def _backfill(self, backfill: str) -> Record:
        """Return the backfill that is to be taken back."""
        record = next((each for each in self.book.records() if each.id == backfill), None)
        undone = self.book.undone()
        if record is None:
            msg = f"There is no backfill {backfill} of this log in {self.book.folder}: see --list."
        elif record.takes_back is not None:
            msg = f"{backfill} itself took {record.takes_back} back: run that backfill again."
        elif record.id in undone:
            msg = f"Backfill {backfill} was taken back already, by {undone[backfill]}."
        else:
            return record
        raise BackfillError(msg)

    def _refuse_covered(self, record: Record, made: Changes) -> None:
        """Raise BackfillError where a later backfill has recounted the same windows."""
        undone = self.book.undone()
        for later in self.book.about(record.span(self.settings)):
            if later.id <= record.id or later.takes_back is not None or later.id in undone:
                continue
            theirs = self.book.changes(later).after
            if theirs.join(made.after, on=KEY, how="semi").height:
                msg = (
                    f"Backfill {later.id} recounted some of the same windows after {record.id}: "
                    f"take {later.id} back first."
                )
                raise BackfillError(msg)

    @contextmanager
    def _book(self) -> Iterator[None]:
        with self.book.locked() if self.apply else nullcontext():
            yield

    @contextmanager
    def _status(self, title: str) -> Iterator[Say]:
        with self.console.status(title) as status:
            yield lambda text: status.update(f"{title}  {text}")

    def _say(self, text: str) -> None:
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)
