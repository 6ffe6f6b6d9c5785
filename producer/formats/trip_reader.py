"""Reads the trip files that people name, one after the other, as batches of trips."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import polars as pl

from producer.formats.errors import TripsFileError
from producer.formats.input_files import InputFile, open_inputs
from producer.formats.options import ReadingOptions
from producer.formats.raw_batch import RawRows
from producer.formats.raw_batches import open_rows
from producer.formats.read_ahead import read_ahead
from producer.formats.reading_plan import ReadingPlan
from producer.formats.reading_report import ReadingReport
from producer.formats.recognition import has_durations, plan_reading
from producer.formats.rejects import RejectsFile
from producer.formats.scratch_folder import scratch_folder
from producer.formats.trip_format import COORDINATES, LOCATIONS, OPTIONAL_AMOUNTS, STRINGS
from producer.formats.trip_rows import RowReader

_SAMPLED_ROWS: Final = 10_000
_OPTIONAL: Final = (*STRINGS, *LOCATIONS, *COORDINATES, *OPTIONAL_AMOUNTS)

OnRead = Callable[[int, int], None]
"""Called with the numbers of rows and of bytes that are read so far."""


def show_nothing(_rows: int, _bytes: int) -> None:
    """Show no progress."""


@dataclass(frozen=True, slots=True)
class PlannedFile:
    """A file and how it is read."""

    file: InputFile
    rows: RawRows
    plan: ReadingPlan


@dataclass(frozen=True, slots=True)
class TripReader:
    """Trip files whose formats are known; those that were `left_aside` are none by their names."""

    files: Sequence[PlannedFile]
    left_aside: Sequence[str]
    refunds: bool

    @property
    def size(self) -> int:
        """How many bytes the files have, decompressed."""
        return sum(each.file.size for each in self.files)

    @property
    def timezones(self) -> tuple[str, ...]:
        """The time zones of the files' local times, each once."""
        return tuple(sorted({each.plan.timezone for each in self.files}))

    def describe(self) -> list[str]:
        """Return lines for each way in which files are read, and one on those that are not."""
        by_line: dict[str, list[str]] = {}
        for each in self.files:
            for line in each.plan.lines():
                by_line.setdefault(line, []).append(each.file.name)
        lines = [f"{_named(names)}: {line}" for line, names in by_line.items()]
        if self.left_aside:
            lines.append(
                f"not read, as their names are of no trip files: {_named(self.left_aside)}"
            )
        return lines

    def check_amounts(self) -> None:
        """Raise TripsFileError if files lack the amount that a trip must have: its duration."""
        if faults := [_no_durations(each) for each in self.files if not has_durations(each.plan)]:
            raise TripsFileError("\n".join(faults))

    def new_report(self) -> ReadingReport:
        """Return an empty report."""
        return ReadingReport(self.files[0].plan.timezone)

    def batches(
        self,
        report: ReadingReport,
        rejects: RejectsFile | None = None,
        on_read: OnRead = show_nothing,
    ) -> Iterator[pl.DataFrame]:
        """Yield the trips of all files in their order, and count them in the report.

        Columns are those of `trip_rows.TripRows`; files have different ones. Rows that are no trips
        go to `rejects`. Raises TripsFileError.
        """
        done = 0
        for each in self.files:
            reader = RowReader(each.plan, refunds=self.refunds)
            # The further columns of a row are read only if somebody gets them.
            is_whole = rejects is not None or each.plan.format.is_passed_on
            columns = None if is_whole else each.plan.columns
            with read_ahead(each.rows.batches(columns)) as batches:
                for batch in batches:
                    rows = reader.read(batch.rows)
                    kept = rows.trips.filter(rows.reasons.is_null())
                    report.add(rows, kept)
                    report.add_malformed(batch)
                    if rejects is not None:
                        rejects.add(each.file.name, batch, rows.reasons)
                    on_read(report.read, done + batch.end)
                    yield kept
            done += each.file.size
        if not report.trips:
            msg = f"none of the rows is a trip: {report.summary()}"
            raise TripsFileError(msg)


@contextmanager
def open_trip_files(paths: Sequence[Path], options: ReadingOptions) -> Iterator[TripReader]:
    """Yield a reader of files and folders; what is decompressed is removed at the end.

    Raises TripsFileError if a file can't be read as trips, or its format is not known.
    """
    with scratch_folder("mobility-input-") as scratch:
        left_aside: list[str] = []
        inputs = open_inputs(paths, scratch, left_aside.append)
        files = [_plan(file, options) for file in inputs]
        yield TripReader(files, left_aside, options.refunds)


def _plan(file: InputFile, options: ReadingOptions) -> PlannedFile:
    rows = open_rows(file)
    sample = rows.head(_SAMPLED_ROWS)
    if sample.is_empty():
        msg = f"{file.name}: the file has no rows"
        raise TripsFileError(msg)
    plan = plan_reading(file, sample, options)
    if file.kind == "ndjson":
        # A log has trips of several programs: a field may come late in it.
        late = {
            name: source
            for name, source in plan.format.fields.items()
            if name in _OPTIONAL and name not in plan.sources
        }
        plan = replace(plan, sources={**plan.sources, **late}, late=frozenset(late))
        rows = open_rows(file, plan.columns)
    return PlannedFile(file, rows, plan)


def _no_durations(planned: PlannedFile) -> str:
    of_file = planned.plan.format
    return (
        f"{planned.file.name}: recognised as {of_file.name} ({of_file.title}), which has neither "
        "durations nor ends of trips here. A trip needs one of them, and no values are made up: "
        "nothing was sent"
    )


def _named(names: Sequence[str]) -> str:
    more = len(names) - 1
    return f"{names[0]} and {more:,} more" if more else names[0]
