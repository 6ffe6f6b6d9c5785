"""The launcher: when it starts a cluster again, and when it does not."""

import signal
from collections.abc import Callable, Iterator
from typing import Final

import pytest

from runtime.failures import RefusalError, StartError
from runtime.launcher import RESTARTS, Cluster, Launcher

STOP: Final = "stop"


class FakeCluster:
    """A cluster that ends with a code, at once."""

    def __init__(self, code: int, before: Callable[[], object] = lambda: None) -> None:
        self.code = code
        self.before = before
        self.stops = 0

    def stop(self) -> None:
        """Record the stop request."""
        self.stops += 1

    def wait(self) -> int:
        """Return the exit code."""
        self.before()
        return self.code


class Run:
    """A launcher of clusters that end as listed; pauses advance its clock."""

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
        """Advance the clock."""
        self.pauses.append(seconds)
        self.now += seconds


def test_the_end_of_the_input_is_the_end() -> None:
    """A flow that ended well is not started again."""
    run = Run(0, 0)
    assert run.launcher.run() == 0
    assert run.ends == [0]


def test_a_failure_is_followed_by_another_attempt(capsys: pytest.CaptureFixture[str]) -> None:
    """The message has the exit code, the number of the restart and the pause."""
    run = Run(137, 1, 0)
    assert run.launcher.run() == 0
    assert run.pauses == [0.5, 1]
    first, second = capsys.readouterr().err.splitlines()
    assert "exit code 137" in first
    assert "Restart 1 of 10 in 0.5 s" in first
    assert "Restart 2 of 10 in 1 s" in second


def test_pauses_grow_up_to_a_limit_until_the_launcher_gives_up(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The exit code is then that of the last failure."""
    run = Run(*[1] * RESTARTS, 77)
    assert run.launcher.run() == 77
    assert run.pauses == [0.5, 1, 2, 4, 8, 15, 15, 15, 15, 15]
    assert capsys.readouterr().err.splitlines()[-1].endswith("giving up")


def test_old_failures_do_not_count() -> None:
    """Only failures of the last five minutes count."""
    run = Run(*[1] * 30, 0, lasts=400)
    assert run.launcher.run() == 0
    assert run.pauses == [0.5] * 30


def test_a_refusal_is_final() -> None:
    """Exit code 2 means that another start would be refused too."""
    run = Run(2, 0)
    assert run.launcher.run() == 2
    assert run.ends == [0]


def test_without_restarts_the_first_failure_is_the_outcome() -> None:
    """As for a bounded read, where the caller decides."""
    assert Run(3, 0, restarts=0).launcher.run() == 3


def test_a_start_that_failed_is_tried_again_and_a_refused_one_is_not() -> None:
    """A store that does not answer may answer soon; a refusal stays."""
    assert Run(StartError("no answer"), 0).launcher.run() == 0
    assert Run(RefusalError("taken by another"), 0).launcher.run() == 2


def test_a_stop_is_not_a_failure() -> None:
    """Before the start, during the start, while the cluster runs, and during a pause."""
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


def test_a_failure_during_a_stop_is_the_exit_code() -> None:
    """It is not hidden, and the cluster is not started again."""
    run = Run()
    run.launcher._start = lambda: FakeCluster(1, run.launcher.stop)
    assert run.launcher.run() == 1


@pytest.fixture
def handlers() -> Iterator[None]:
    """Restore the signal handlers after the test."""
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in numbers}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("handlers")
def test_signals_request_a_stop() -> None:
    """SIGTERM and SIGINT, as from a supervisor and Ctrl-C."""
    for number in (signal.SIGTERM, signal.SIGINT):
        run = Run(1)
        run.launcher.handle_signals()
        signal.raise_signal(number)
        assert run.launcher.run() == 0


@pytest.mark.usefixtures("handlers")
def test_sighup_stops_the_cluster_and_starts_it_again() -> None:
    """It does not count as a failure, and there is no pause."""
    run = Run(0, restarts=0)
    run.launcher.handle_signals()
    cluster = FakeCluster(0, lambda: signal.raise_signal(signal.SIGHUP))
    clusters: list[Cluster] = [FakeCluster(0), cluster]
    run.launcher._start = clusters.pop
    assert run.launcher.run() == 0
    assert (cluster.stops, clusters, run.pauses) == (1, [], [])


@pytest.mark.usefixtures("handlers")
def test_sighup_while_the_cluster_starts_starts_it_again() -> None:
    """The starting cluster may have read the old tables already."""
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
def test_sighup_is_ignored_where_a_start_would_be_refused(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """For instance where a table can't be read."""

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
    """A terminal sends SIGHUP too when it is closed; then the cluster is not started again."""
    terminal = [False, True]
    monkeypatch.setattr("runtime.launcher._has_terminal", terminal.pop)
    cluster = FakeCluster(0, lambda: signal.raise_signal(signal.SIGHUP))
    launcher = Launcher(lambda: cluster)
    launcher.handle_signals()
    assert launcher.run() == 0
    assert cluster.stops == 1
    assert terminal == []
