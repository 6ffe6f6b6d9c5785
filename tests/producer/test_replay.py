"""The replay by a clock that tests move, into an outlet that remembers."""

import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import pytest

from producer.batches import Batch, Position
from producer.outlet import DeliveryError, Tally
from producer.pace import LIVE, Pace
from producer.replay import Replay, nothing_kept

PARTITIONS = 3


@dataclass
class MovedClock:
    """A clock that stands still but for sleeping."""

    time: float = 1_000.0

    def now(self) -> float:
        """Return the time."""
        return self.time

    def sleep(self, seconds: float) -> None:
        """Move on at once."""
        assert 0 < seconds <= 0.1
        self.time += seconds


@dataclass
class MemoryOutlet:
    """An outlet that keeps what it gets, and when."""

    clock: MovedClock
    tally: Tally = field(default_factory=lambda: Tally([0] * PARTITIONS))
    trips: list[tuple[float, str]] = field(default_factory=list)
    punctuations: list[tuple[float, int, int]] = field(default_factory=list)
    settled: int = 0
    broken: bool = False

    def send(self, keys: Sequence[str], values: Sequence[str]) -> None:
        """Keep trips, confirmed at once."""
        for key, value in zip(keys, values, strict=True):
            self.trips.append((self.clock.time, value))
            self.tally.trips[partition_of(key)] += 1

    def punctuate(self, partition: int, event_ms: int) -> None:
        """Keep a punctuation."""
        self.punctuations.append((self.clock.time, partition, event_ms))

    def poll(self) -> None:
        """Hear nothing."""

    def settle(self) -> None:
        """Count, or fail if told so."""
        if self.broken:
            raise DeliveryError
        self.settled += 1


def partition_of(key: str) -> int:
    """Return where a key goes."""
    return zlib.crc32(key.encode()) % PARTITIONS


def batch(due: list[int], start: Position = Position(0, 0), copies: int = 1) -> Batch:  # noqa: B008 - it is frozen
    """Return a batch of rows that are due then, all of one key."""
    values = [f"{event}/{copy}" for event in due for copy in range(copies)]
    return Batch(start, due, ["d"] * len(values), values, copies)


@dataclass
class Run:
    """A replay with all that it touches."""

    clock: MovedClock = field(default_factory=MovedClock)
    kept: list[Position] = field(default_factory=list)
    shown: list[tuple[int, int]] = field(default_factory=list)
    stop_at: float = float("inf")
    broken: bool = False

    def __post_init__(self) -> None:
        """Make the outlet."""
        self.outlet = MemoryOutlet(self.clock, broken=self.broken)

    def __call__(
        self, batches: list[Batch] | Iterator[Batch], pace: Callable[[int], Pace]
    ) -> "Run":
        """Replay the batches."""
        Replay(
            self.outlet,
            self.clock,
            keep=self.kept.append,
            show=lambda sent, event: self.shown.append((sent, event)),
            stopping=lambda: self.clock.time >= self.stop_at,
        ).run(batches, pace)
        return self

    def anchored(self, speed: float) -> Callable[[int], Pace]:
        """Return a pace that begins with the first trip."""
        return lambda first: Pace(speed, first, self.clock.time)


def test_at_full_speed_nothing_waits_and_nothing_is_punctuated() -> None:
    """All goes out at once, in order, and is kept when it is confirmed."""
    run = Run()
    run([batch([10, 20]), batch([9_999_999], Position(0, 2))], lambda _: Pace(None))
    assert [value for _, value in run.outlet.trips] == ["10/0", "20/0", "9999999/0"]
    assert run.clock.time == 1_000.0
    assert run.outlet.punctuations == []
    assert run.kept == [Position(0, 3)]
    assert run.shown[-1] == (3, 9_999_999)


def test_trips_go_out_when_they_are_due() -> None:
    """At speed 60 a minute of event time takes a second, and no trip goes out before its time."""
    run = Run()
    due = [0, 30_000, 60_000, 240_000]
    run([batch(due[:2]), batch(due[2:], Position(0, 2))], run.anchored(60.0))
    for (at, _), event in zip(run.outlet.trips, due, strict=True):
        assert 0 <= at - (1_000.0 + event / 60_000) < 0.01


def test_copies_go_out_together() -> None:
    """All copies of a row have its time."""
    run = Run()
    run([batch([0, 1_000], copies=3)], run.anchored(1.0))
    assert [value for _, value in run.outlet.trips[:3]] == ["0/0", "0/1", "0/2"]
    times = [at for at, _ in run.outlet.trips]
    assert times[0] == times[2] < times[3] == times[5]


def test_history_goes_out_at_full_speed_then_the_pace_is_one() -> None:
    """What lies behind the clock goes out at once, and what lies ahead at its time."""
    run = Run(clock=MovedClock(1_000.0))
    run([batch([0, 999_000, 1_002_000])], lambda _: LIVE)
    times = [at for at, _ in run.outlet.trips]
    assert times[:2] == [1_000.0, 1_000.0]
    assert times[2] == pytest.approx(1_002.0, abs=0.01)


def test_every_partition_is_punctuated_when_history_ends() -> None:
    """Also one that was written to a moment ago: its silence begins here."""
    run = Run()
    run([batch([0, 999_000, 1_000_500])], lambda _: LIVE)
    first = [(partition, event) for at, partition, event in run.outlet.punctuations if at == 1_000]
    assert first == [(partition, 1_000_000) for partition in range(PARTITIONS)]


def test_quiet_partitions_are_punctuated_about_every_second() -> None:
    """The partition that is written to needs none; the others hear one a second."""
    run = Run()
    run([batch(list(range(0, 20_001, 500)))], run.anchored(1.0))
    busy = partition_of("d")
    later = [entry for entry in run.outlet.punctuations if entry[0] > 1_000.5]
    assert {partition for _, partition, _ in later} == set(range(PARTITIONS)) - {busy}
    for partition in set(range(PARTITIONS)) - {busy}:
        times = [at for at, other, _ in later if other == partition]
        assert len(times) >= 18
        assert all(1.0 <= after - before < 1.2 for before, after in pairwise(times))


def test_a_punctuation_is_never_ahead_of_the_replay() -> None:
    """Whatever goes out after a punctuation has an event time that is not before it."""
    run = Run()
    run([batch([0, 2_500, 2_600]), batch([9_000], Position(0, 3))], run.anchored(1.0))
    assert run.outlet.punctuations
    for at, _, event in run.outlet.punctuations:
        assert event <= (at - 1_000.0) * 1_000
        later = [int(value.split("/")[0]) for sent_at, value in run.outlet.trips if sent_at > at]
        assert all(event <= other for other in later)


def test_positions_are_kept_now_and_then_and_at_the_end() -> None:
    """Every five seconds, each time after everything sent was confirmed."""
    run = Run()
    run([batch(list(range(0, 12_001, 1_000)), Position(2, 100))], run.anchored(1.0))
    assert run.kept == [Position(2, 106), Position(2, 111), Position(2, 113)]
    assert run.outlet.settled == 3


def test_a_stop_settles_and_keeps_how_far_it_got() -> None:
    """Nothing more is sent, and the next start goes on with the next row."""
    run = Run(stop_at=1_002.5)
    run([batch([0, 1_000, 2_000, 3_000]), batch([4_000], Position(0, 4))], run.anchored(1.0))
    assert len(run.outlet.trips) == 3
    assert run.kept == [Position(0, 3)]


def test_nothing_is_kept_that_was_not_confirmed() -> None:
    """A failed delivery ends the replay and leaves the position as it was."""
    run = Run(broken=True)
    with pytest.raises(DeliveryError):
        run([batch([0])], lambda _: Pace(None))
    assert run.kept == []


def test_a_file_that_is_all_sent_sends_nothing() -> None:
    """No batch, no position, no harm."""
    run = Run()
    run([], lambda _: Pace(None))
    assert (run.outlet.trips, run.kept) == ([], [])
    nothing_kept(Position(0, 0))
