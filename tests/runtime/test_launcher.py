"""The launcher: when a cluster is started again, and when not."""

import signal
from collections.abc import Callable, Iterator
from typing import Final

import pytest

from runtime.failures import RefusalError, StartError
from runtime.launcher import RESTARTS, Cluster, Launcher

STOP: Final = "stop"


class FakeCluster:
    """A cluster that ends with a code, at once or when it is asked to stop."""

    def __init__(self, code: int, before: Callable[[], object] = lambda: None) -> None:
        self.code = code
        self.before = before
        self.stops = 0

    def stop(self) -> None:
        """Record the stop request."""
        self.stops += 1

    def wait(self) -> int:
        """Return the code."""
        self.before()
        return self.code


class Run:
    """A launcher over clusters that end as listed, with a clock that pauses move."""

    def __init__(self, *ends: int | Exception, restarts: int = RESTARTS, lasts: float = 0) -> None:
        self.ends = list(ends)
        self.now = 0.0
        self.lasts = lasts
        self.pauses: list[float] = []
        self.launcher = Launcher(self.start, restarts, pause=self.pause, clock=lambda: self.now)

    def start(self) -> Cluster:
        """Return the next cluster."""
        end = self.ends.pop(0)
        if isinstance(end, Exception):
            raise end
        self.now += self.lasts
        return FakeCluster(end)

    def pause(self, seconds: float) -> None:
        """Let time pass."""
        self.pauses.append(seconds)
        self.now += seconds


def test_the_end_of_the_input_is_the_end() -> None:
    """A flow that ended well is not started again."""
    run = Run(0, 0)
    assert run.launcher.run() == 0
    assert run.ends == [0]


def test_a_failure_is_followed_by_another_attempt(capsys: pytest.CaptureFixture[str]) -> None:
    """It says what happened, which attempt comes next, and when."""
    run = Run(137, 1, 0)
    assert run.launcher.run() == 0
    assert run.pauses == [0.5, 1]
    first, second = capsys.readouterr().err.splitlines()
    assert "exit code 137" in first
    assert "Restart 1 of 10 in 0.5 s" in first
    assert "Restart 2 of 10 in 1 s" in second


def test_pauses_grow_up_to_a_bound_until_the_launcher_gives_up(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Then the exit code is that of the last failure."""
    run = Run(*[1] * RESTARTS, 77)
    assert run.launcher.run() == 77
    assert run.pauses == [0.5, 1, 2, 4, 8, 15, 15, 15, 15, 15]
    assert capsys.readouterr().err.splitlines()[-1].endswith("giving up")


def test_failures_of_long_ago_count_no_more() -> None:
    """Every failure after some calm begins a new count."""
    run = Run(*[1] * 30, 0, lasts=400)
    assert run.launcher.run() == 0
    assert run.pauses == [0.5] * 30


def test_a_refusal_is_final() -> None:
    """Exit code 2 means that the next attempt would get the same answer."""
    run = Run(2, 0)
    assert run.launcher.run() == 2
    assert run.ends == [0]


def test_without_restarts_the_first_failure_is_the_outcome() -> None:
    """A bounded read, for instance: who waits for it decides."""
    assert Run(3, 0, restarts=0).launcher.run() == 3


def test_a_start_that_failed_is_tried_again_and_a_refused_one_is_not() -> None:
    """A store that does not answer may answer soon; one that belongs to others won't."""
    assert Run(StartError("no answer"), 0).launcher.run() == 0
    assert Run(RefusalError("taken by another"), 0).launcher.run() == 2


def test_a_stop_ends_the_cluster_and_is_no_failure() -> None:
    """Whenever it comes: before, while it is started, while it runs, during a pause."""
    before = Run(1)
    before.launcher.stop()
    assert before.launcher.run() == 0
    assert before.ends == [1]

    starting = Run()
    cluster = FakeCluster(0)

    def start() -> Cluster:
        starting.launcher.stop()
        return cluster

    starting.launcher._start = start
    assert starting.launcher.run() == 0
    assert cluster.stops == 1

    running = Run()
    running.launcher._start = lambda: cluster
    cluster.before = running.launcher.stop
    assert running.launcher.run() == 0
    assert cluster.stops == 2

    paused = Run(1, 1)
    paused.launcher._pause = lambda _seconds: paused.launcher.stop()
    assert paused.launcher.run() == 0
    assert paused.ends == [1]


def test_a_failure_during_a_stop_is_the_outcome() -> None:
    """What could not be brought to its end is not hidden, and not started again."""
    run = Run()
    run.launcher._start = lambda: FakeCluster(1, run.launcher.stop)
    assert run.launcher.run() == 1


@pytest.fixture
def handlers() -> Iterator[None]:
    """Put the signal handlers back in the end."""
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in numbers}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("handlers")
def test_signals_ask_for_a_stop() -> None:
    """SIGTERM and SIGINT, as a supervisor and Ctrl-C send them."""
    for number in (signal.SIGTERM, signal.SIGINT):
        run = Run(1)
        run.launcher.handle_signals()
        signal.raise_signal(number)
        assert run.launcher.run() == 0


@pytest.mark.usefixtures("handlers")
def test_sighup_stops_the_cluster_and_starts_it_again() -> None:
    """As a graceful stop and a start by hand; it counts as no failure and needs no pause."""
    run = Run(0, restarts=0)
    run.launcher.handle_signals()
    cluster = FakeCluster(0, lambda: signal.raise_signal(signal.SIGHUP))
    clusters: list[Cluster] = [FakeCluster(0), cluster]
    run.launcher._start = clusters.pop
    assert run.launcher.run() == 0
    assert (cluster.stops, clusters, run.pauses) == (1, [], [])


@pytest.mark.usefixtures("handlers")
def test_sighup_while_the_cluster_starts_starts_it_again() -> None:
    """It may have read the tables already."""
    run = Run()
    run.launcher.handle_signals()
    clusters = [FakeCluster(0), FakeCluster(0)]
    started: list[FakeCluster] = []

    def start() -> Cluster:
        if not started:
            signal.raise_signal(signal.SIGHUP)
        started.append(clusters.pop())
        return started[-1]

    run.launcher._start = start
    assert run.launcher.run() == 0
    assert [cluster.stops for cluster in started] == [1, 0]


@pytest.mark.usefixtures("handlers")
def test_a_start_that_would_be_refused_stops_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """A table that can't be used is not worth the running cluster."""

    def check() -> None:
        msg = "no such table"
        raise RefusalError(msg)

    cluster = FakeCluster(0, lambda: signal.raise_signal(signal.SIGHUP))
    launcher = Launcher(lambda: cluster, check=check)
    launcher.handle_signals()
    assert launcher.run() == 0
    assert cluster.stops == 0
    assert "goes on as it is: no such table" in capsys.readouterr().err


@pytest.mark.usefixtures("handlers")
def test_a_closed_terminal_stops_the_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    """It sends SIGHUP too, and nobody would see what is started again."""
    terminal = [False, True]
    monkeypatch.setattr("runtime.launcher._has_terminal", terminal.pop)
    cluster = FakeCluster(0, lambda: signal.raise_signal(signal.SIGHUP))
    launcher = Launcher(lambda: cluster)
    launcher.handle_signals()
    assert launcher.run() == 0
    assert cluster.stops == 1
    assert terminal == []
