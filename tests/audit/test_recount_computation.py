"""What windows are after any history of backfills, computed by the audit and one trip at a time."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.audited_stores import AuditedRange
from audit.backfill_records import (
    KEY_SCHEMA,
    BackfillRecord,
    GivenFile,
    LogRead,
    TopicRead,
)
from audit.recount_computation import RECOUNTED_SCHEMA, RecountComputation
from audit.recounted_trips import ReadMessages
from audit.validation import LogMessage
from audit.window_recounts import recount_of
from audit.window_sample import (
    ENTITY_WINDOW_KEY,
    SAMPLE_SCHEMA,
    WindowSample,
    keep_highest_versions,
)
from mobility.records import MAX_EVENT_TIME, MIN_EVENT_TIME
from mobility.settings import Settings
from mobility.times import iso_time
from tests.strategies import NOON, Entry

SETTINGS: Final = Settings()
WINDOW: Final = SETTINGS.window_ms
STARTS: Final = tuple(NOON + at * WINDOW for at in range(3))
ALL: Final = AuditedRange(MIN_EVENT_TIME, MAX_EVENT_TIME)
IDS: Final = {"trips_stream": "log", "trips_late": "late"}
RULES: Final = [{"version": 3, "tables": {}, "first_offsets": {}, "topic_id": None}]

RANGES: Final = tuple((first, last) for first in STARTS for last in STARTS if first <= last)

Place = tuple[int, int]
Files = list[list[Entry]]
Key = tuple[str, str, int]
Window = tuple[int, int]
"""The number of the trips of a window, and their revenue in micro-units."""


@dataclass(frozen=True)
class Logged:
    """A trip at a position of the log, and where it was read: in `trips_late`, if it is late."""

    at: Place
    read_at: Place
    late: bool
    trip: Entry


@dataclass
class History:
    """A folder of records, and what the windows are after each: computed here, trip by trip."""

    records: list[BackfillRecord] = field(default_factory=list)
    changed: dict[str, list[Key]] = field(default_factory=dict)
    files: dict[tuple[str, str], list[bytes]] = field(default_factory=dict)
    given: dict[str, list[list[Entry]]] = field(default_factory=dict)
    before: dict[str, dict[Key, Window]] = field(default_factory=dict)
    state: dict[Key, Window] = field(default_factory=dict)

    def written(self, record: BackfillRecord) -> pl.DataFrame:
        """Return the windows that a record has changed."""
        return pl.DataFrame(self.changed[record.id], schema=KEY_SCHEMA, orient="row")

    def given_lines(self, record: BackfillRecord, file: str) -> list[bytes]:
        """Return the corrections of a file."""
        return self.files[record.id, file]

    def recount(
        self, log: Sequence[Logged], first: int, last: int, ends: tuple[Place, int], files: Files
    ) -> None:
        """Recount the windows from `first` to `last`, having read up to these ends."""
        name = f"{len(self.records) + 1:04}"
        logged, late = ends
        read = LogRead(
            TopicRead("log", dict(enumerate(logged))), TopicRead("late", {0: late}), RULES
        )
        inputs = [
            GivenFile(hashlib.sha256(repr(each).encode()).hexdigest(), f"{number}")
            for number, each in enumerate(files)
        ]
        for each, given_trips in zip(inputs, files, strict=True):
            self.files[name, each.file] = [trip.value or b"" for trip in given_trips]
        record = _record(name, first, last + WINDOW, inputs=inputs, read=read)
        self.given[name] = files
        seen = [
            each
            for each in log
            if (each.read_at[1] < late if each.late else each.read_at[1] < logged[each.at[0]])
        ]
        wanted = self._windows(seen, record)
        self._write(record, wanted, [key for key in self.state if first <= key[2] <= last])

    def revert(self, name: str) -> None:
        """Restore what a recount has changed, unless a later one has changed some of it, too."""
        made = next(each for each in self.records if each.id == name)
        later = [each for each in self.records if each.number > made.number]
        reverted = {each.reverts for each in self.records}
        active = [each for each in later if each.reverts is None and each.id not in reverted]
        keys = set(self.changed[name])
        if name in reverted or any(keys & set(self.changed[each.id]) for each in active):
            return
        record = _record(f"{len(self.records) + 1:04}", made.first, made.beyond, reverts=name)
        wanted = {key: value for key, value in self.before[name].items() if key in keys}
        self._write(record, wanted, list(keys))

    def _write(self, record: BackfillRecord, wanted: dict[Key, Window], range_: list[Key]) -> None:
        self.before[record.id] = dict(self.state)
        changed = [key for key in {*wanted, *range_} if wanted.get(key) != self.state.get(key)]
        for key in changed:
            self.state.pop(key, None)
            if key in wanted:
                self.state[key] = wanted[key]
        if changed:
            self.records.append(record)
            self.changed[record.id] = changed
        else:
            self.given.pop(record.id, None)

    def _windows(self, seen: Sequence[Logged], record: BackfillRecord) -> dict[Key, Window]:
        """Return the windows of a range, by the rules of ADR 7."""
        found: list[tuple[object, Entry]] = []
        for each in sorted(seen, key=lambda each: (each.at, each.late, each.read_at)):
            if (each.at, each.trip) not in found:
                found.append((each.at, each.trip))
        reverted = {each.reverts for each in self.records}
        for earlier in (*self.records, record):
            if earlier.id in reverted or not earlier.overlaps(record.first, record.beyond):
                continue
            for file in self.given.get(earlier.id, ()):
                found = corrected(found, file, earlier)
        return self._count(trip for _, trip in found if record.first <= trip.time < record.beyond)

    @staticmethod
    def _count(counted: Iterable[Entry]) -> dict[Key, Window]:
        """Return the windows of trips, each trip_id once a window."""
        names_seen: set[tuple[str, int]] = set()
        windows: dict[Key, Window] = {}
        for trip in counted:
            start = trip.time - trip.time % WINDOW
            if trip.trip_id is not None:
                if (trip.trip_id, start) in names_seen:
                    continue
                names_seen.add((trip.trip_id, start))
            for key in keys_of(trip):
                count, revenue = windows.get(key, (0, 0))
                windows[key] = (count + 1, revenue + trip.micro)
        return windows


def corrected(
    found: list[tuple[object, Entry]], file: list[Entry], record: BackfillRecord
) -> list[tuple[object, Entry]]:
    """Return trips, and where they are from, with the corrections of a file."""
    names = {trip.trip_id for trip in file} - {None}
    kept = [
        (where, trip)
        for where, trip in found
        if not record.first <= trip.time < record.beyond
        or not (trip.trip_id in names or where == repr(file))
    ]
    last = {trip.trip_id: trip for trip in file if trip.trip_id is not None}
    left = [*last.values(), *(trip for trip in file if trip.trip_id is None)]
    return [*kept, *((repr(file), trip) for trip in left)]


def keys_of(trip: Entry) -> Iterable[Key]:
    """Return the windows that a trip counts in."""
    start = trip.time - trip.time % WINDOW
    yield ("vehicle_type", trip.vehicle or "unknown", start)
    if trip.driver is not None:
        yield ("driver", trip.driver, start)


def _record(
    name: str,
    first: int,
    beyond: int,
    inputs: list[GivenFile] | None = None,
    reverts: str | None = None,
    read: LogRead | None = None,
) -> BackfillRecord:
    return BackfillRecord(
        id=name,
        log=None,
        start=iso_time(first),
        end=iso_time(beyond),
        status="applied",
        generation=int(name),
        reverts=reverts,
        fingerprint="",
        inputs=inputs or [],
        read=read,
    )


_times = st.integers(STARTS[0], STARTS[-1] + WINDOW - 1)
_names = st.none() | st.sampled_from(("t1", "t2", "t3"))
_drivers = st.none() | st.sampled_from(("a", "b"))
_micros = st.integers(0, 10**9)


def trips(times: st.SearchStrategy[int] = _times) -> st.SearchStrategy[Entry]:
    """Return trips of few ids, so that many have one in common."""
    return st.builds(Entry, times, _names, _drivers, st.sampled_from((None, "car")), _micros)


@st.composite
def logs(draw: st.DrawFn) -> list[Logged]:
    """Draw the trips of two partitions, and copies of late ones: some of a topic from before."""
    pool = draw(st.lists(trips(), min_size=3, max_size=8))
    found = [
        Logged((partition, offset), (partition, offset), late=False, trip=trip)
        for partition in range(2)
        for offset, trip in enumerate(draw(st.lists(st.sampled_from(pool), min_size=2, max_size=8)))
    ]
    copies = draw(st.lists(st.sampled_from(found), max_size=4))
    late = [(each.at, each.trip) for each in copies]
    late += [((0, at), trip) for at, trip in enumerate(draw(st.lists(trips(), max_size=4)))]
    late = draw(st.permutations(late))
    found += [
        Logged(at, (0, number), late=True, trip=trip) for number, (at, trip) in enumerate(late)
    ]
    return found


@st.composite
def histories(draw: st.DrawFn, log: Sequence[Logged]) -> History:
    """Draw recounts, each of what was there by then, with corrections, and reverts of some."""
    history, ends = History(), [0, 0, 0]
    used: Files = []
    for number in range(draw(st.integers(2, 6))):
        recounts = [each.id for each in history.records if each.reverts is None]
        if number > 1 and recounts and draw(st.booleans()):
            history.revert(draw(st.sampled_from(recounts)))
            continue
        first, last = draw(st.sampled_from(RANGES))
        ends = [max(at, draw(st.sampled_from((3, 5, 9)))) for at in ends]
        inside = trips(st.integers(first, last + WINDOW - 1))
        files = draw(st.lists(st.lists(inside, min_size=1, max_size=3), max_size=2))
        # The same file is given again, where all of its trips are in the range.
        again = [each for each in used if all(first <= t.time < last + WINDOW for t in each)]
        files += draw(st.lists(st.sampled_from(again), max_size=1)) if again else []
        used += files
        history.recount(log, first, last, ((ends[0], ends[1]), ends[2]), files)
    return history


@settings(max_examples=150)
@given(data=st.data(), log=logs(), size=st.sampled_from((None, 1, 3)))
def test_windows_are_those_of_any_history(
    data: st.DataObject, log: list[Logged], size: int | None
) -> None:
    """Recounts read on, overlap, move trips and are reverted; of a sample its windows are right."""
    history = data.draw(histories(log))
    sample = WindowSample(size, 5, ["entity"], keep_highest_versions)
    everything = [*history.state, *(key for keys in history.changed.values() for key in keys)]
    sample.add(_sample_rows(everything))
    computation = RecountComputation(
        history.records, history, SETTINGS, ALL, sample.keep_sampled, IDS
    )
    for late in (False, True):
        part = data.draw(st.permutations([each for each in log if each.late == late]))
        messages = [LogMessage(*each.at, MAX_EVENT_TIME, each.trip.value) for each in part]
        computation.add(ReadMessages(messages, [each.read_at for each in part], is_late=late))
    windows = pl.concat([pl.DataFrame(schema=RECOUNTED_SCHEMA), *computation.windows()])
    right_by = recount_of(windows, history.records, history)
    ours = windows.filter(windows["recount"] == right_by)
    found = {
        row[:3]: row[3:]
        for row in ours.select(*ENTITY_WINDOW_KEY, "trip_count", "total_revenue").iter_rows()
    }
    keys = pl.DataFrame(list(history.state), schema=KEY_SCHEMA, orient="row")
    is_recounted = (recount_of(keys, history.records, history) > 0).to_list()
    recounted = keys.filter(pl.Series(is_recounted, dtype=pl.Boolean))
    expected = {key: history.state[key] for key in sample.keep_sampled(recounted).iter_rows()}
    assert found == expected
    # The flow has counted nothing here: what no recount has counted is absent.
    assert len(history.state) == recounted.height


def _sample_rows(keys: Iterable[Key]) -> pl.DataFrame:
    rows = pl.DataFrame(sorted(set(keys)), schema=KEY_SCHEMA, orient="row")
    others = {name: kind for name, kind in SAMPLE_SCHEMA.items() if name not in KEY_SCHEMA}
    return rows.with_columns(pl.lit(0, kind).alias(name) for name, kind in others.items())
