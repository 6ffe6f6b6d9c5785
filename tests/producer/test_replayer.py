"""The replay with a fake clock, to a writer that keeps messages in memory."""

import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import pytest

from broker.errors import DeliveryError
from producer.batches import FilePosition, MessageBatch
from producer.replayer import TripReplayer, discard_position
from producer.schedule import REAL_TIME, EventTimeSchedule
from producer.trip_writer import DeliveryCounts

PARTITIONS = 3
START = FilePosition(0, 0)


@dataclass
class FakeClock:
    """A clock that advances only by sleeping."""

    time: float = 1_000.0

    def now(self) -> float:
        """Return the time."""
        return self.time

    def sleep(self, seconds: float) -> None:
        """Advance at once."""
        assert 0 < seconds <= 0.1
        self.time += seconds


@dataclass
class MemoryTripWriter:
    """A writer that keeps its messages and their clock times."""

    clock: FakeClock
    delivered: DeliveryCounts = field(default_factory=lambda: DeliveryCounts([0] * PARTITIONS))
    trips: list[tuple[float, str]] = field(default_factory=list)
    punctuations: list[tuple[float, int, int]] = field(default_factory=list)
    flushes: int = 0
    fails: bool = False

    def send(self, keys: Sequence[str], values: Sequence[str]) -> None:
        """Keep trips, delivered at once."""
        for key, value in zip(keys, values, strict=True):
            self.trips.append((self.clock.time, value))
            self.delivered.trips[partition_of(key)] += 1

    def send_punctuation(self, partition: int, event_time: int) -> None:
        """Keep a punctuation."""
        self.punctuations.append((self.clock.time, partition, event_time))

    def poll(self) -> None:
        """Do nothing."""

    def flush(self) -> None:
        """Count the call, or fail."""
        if self.fails:
            raise DeliveryError
        self.flushes += 1


def partition_of(key: str) -> int:
    """Return the partition of a key."""
    return zlib.crc32(key.encode()) % PARTITIONS


def batch(due: list[int], start: FilePosition = START, copies: int = 1) -> MessageBatch:
    """Return a batch of rows with these due times, all of one key."""
    values = [f"{event}/{copy}" for event in due for copy in range(copies)]
    return MessageBatch(start, due, ["d"] * len(values), values, copies)


@dataclass
class Run:
    """A replay with its clock, its writer and the calls of its callbacks."""

    clock: FakeClock = field(default_factory=FakeClock)
    saved: list[FilePosition] = field(default_factory=list)
    shown: list[tuple[int, int]] = field(default_factory=list)
    stop_at: float = float("inf")
    fails: bool = False

    def __post_init__(self) -> None:
        """Make the writer."""
        self.writer = MemoryTripWriter(self.clock, fails=self.fails)

    def __call__(
        self,
        batches: list[MessageBatch] | Iterator[MessageBatch],
        make_schedule: Callable[[int], EventTimeSchedule],
    ) -> "Run":
        """Replay the batches."""
        TripReplayer(
            self.writer,
            self.clock,
            save_position=self.saved.append,
            show_progress=lambda sent, event: self.shown.append((sent, event)),
            is_stopping=lambda: self.clock.time >= self.stop_at,
        ).run(batches, make_schedule)
        return self

    def schedule_from_first(self, speed: float) -> Callable[[int], EventTimeSchedule]:
        """Return a function that makes a schedule starting with the first trip."""
        return lambda first: EventTimeSchedule(speed, first, self.clock.time)


def test_at_full_speed_nothing_waits_and_nothing_is_punctuated() -> None:
    """All is sent at once, in order, and the position is saved once it is delivered."""
    run = Run()
    run(
        [batch([10, 20]), batch([9_999_999], FilePosition(0, 2))], lambda _: EventTimeSchedule(None)
    )
    assert [value for _, value in run.writer.trips] == ["10/0", "20/0", "9999999/0"]
    assert run.clock.time == 1_000.0
    assert run.writer.punctuations == []
    assert run.saved == [FilePosition(0, 3)]
    assert run.shown[-1] == (3, 9_999_999)


def test_trips_are_sent_when_they_are_due() -> None:
    """At speed 60 a minute of event time takes a second, and no trip is sent before its time."""
    run = Run()
    due = [0, 30_000, 60_000, 240_000]
    run([batch(due[:2]), batch(due[2:], FilePosition(0, 2))], run.schedule_from_first(60.0))
    for (at, _), event in zip(run.writer.trips, due, strict=True):
        assert 0 <= at - (1_000.0 + event / 60_000) < 0.01


def test_copies_are_sent_together() -> None:
    """All copies of a row are sent at its time."""
    run = Run()
    run([batch([0, 1_000], copies=3)], run.schedule_from_first(1.0))
    assert [value for _, value in run.writer.trips[:3]] == ["0/0", "0/1", "0/2"]
    times = [at for at, _ in run.writer.trips]
    assert times[0] == times[2] < times[3] == times[5]


def test_past_trips_are_sent_at_full_speed_and_later_ones_in_real_time() -> None:
    """Trips before the clock are sent at once, later ones at their time."""
    run = Run(clock=FakeClock(1_000.0))
    run([batch([0, 999_000, 1_002_000])], lambda _: REAL_TIME)
    times = [at for at, _ in run.writer.trips]
    assert times[:2] == [1_000.0, 1_000.0]
    assert times[2] == pytest.approx(1_002.0, abs=0.01)


def test_every_partition_is_punctuated_after_the_past_trips() -> None:
    """Also one that just got a trip: it may be idle from then on."""
    run = Run()
    run([batch([0, 999_000, 1_000_500])], lambda _: REAL_TIME)
    first = [(partition, event) for at, partition, event in run.writer.punctuations if at == 1_000]
    assert first == [(partition, 1_000_000) for partition in range(PARTITIONS)]


def test_idle_partitions_are_punctuated_every_second() -> None:
    """A partition that gets trips needs none; the others get one per second."""
    run = Run()
    run([batch(list(range(0, 20_001, 500)))], run.schedule_from_first(1.0))
    busy = partition_of("d")
    later = [entry for entry in run.writer.punctuations if entry[0] > 1_000.5]
    assert {partition for _, partition, _ in later} == set(range(PARTITIONS)) - {busy}
    for partition in set(range(PARTITIONS)) - {busy}:
        times = [at for at, other, _ in later if other == partition]
        assert len(times) >= 18
        assert all(1.0 <= after - before < 1.2 for before, after in pairwise(times))


def test_a_punctuation_is_never_after_later_trips() -> None:
    """Whatever is sent after a punctuation has an event time that is not before it."""
    run = Run()
    run(
        [batch([0, 2_500, 2_600]), batch([9_000], FilePosition(0, 3))], run.schedule_from_first(1.0)
    )
    assert run.writer.punctuations
    for at, _, event in run.writer.punctuations:
        assert event <= (at - 1_000.0) * 1_000
        later = [int(value.split("/")[0]) for sent_at, value in run.writer.trips if sent_at > at]
        assert all(event <= other for other in later)


def test_positions_are_saved_periodically_and_at_the_end() -> None:
    """Every five seconds, each time after everything sent was delivered."""
    run = Run()
    run([batch(list(range(0, 12_001, 1_000)), FilePosition(2, 100))], run.schedule_from_first(1.0))
    assert run.saved == [FilePosition(2, 106), FilePosition(2, 111), FilePosition(2, 113)]
    assert run.writer.flushes == 3


def test_a_stop_flushes_and_saves_the_position() -> None:
    """Nothing more is sent, and the next start continues with the next row."""
    run = Run(stop_at=1_002.5)
    run(
        [batch([0, 1_000, 2_000, 3_000]), batch([4_000], FilePosition(0, 4))],
        run.schedule_from_first(1.0),
    )
    assert len(run.writer.trips) == 3
    assert run.saved == [FilePosition(0, 3)]


def test_a_position_is_not_saved_before_delivery() -> None:
    """A failed delivery ends the replay and leaves the saved position unchanged."""
    run = Run(fails=True)
    with pytest.raises(DeliveryError):
        run([batch([0])], lambda _: EventTimeSchedule(None))
    assert run.saved == []


def test_a_file_that_is_sent_completely_sends_nothing() -> None:
    """No batch and no position, and no error."""
    run = Run()
    run([], lambda _: EventTimeSchedule(None))
    assert (run.writer.trips, run.saved) == ([], [])
    discard_position(FilePosition(0, 0))
