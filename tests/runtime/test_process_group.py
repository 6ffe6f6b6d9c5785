"""The processes of a cluster end together: the exit code, and which are killed."""

import signal
import subprocess
import threading
from typing import Final

import pytest

from runtime.process_group import ProcessGroup

HANGS: Final = None


class FakeProcess:
    """A process that ends with a code; one that hangs ends when it is killed."""

    def __init__(self, code: int | None) -> None:
        self.code = code
        self.stdin = None
        self.stops = 0
        self.ended = threading.Event()
        if code is not HANGS:
            self.ended.set()

    def wait(self, seconds: float | None = None) -> int:
        """Return the code, or raise where it hangs longer than that."""
        if not self.ended.wait(seconds):
            raise subprocess.TimeoutExpired([], seconds or 0)
        assert self.code is not None
        return self.code

    def terminate(self) -> None:
        """Count the request."""
        self.stops += 1

    def kill(self) -> None:
        """End the process if it still runs."""
        if not self.ended.is_set():
            self.code = -9
            self.ended.set()


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.process_group._EXIT_SECONDS", 0.05)


def group(monkeypatch: pytest.MonkeyPatch, *processes: FakeProcess) -> ProcessGroup:
    """Return a group of these processes."""
    made = iter(processes)
    monkeypatch.setattr("runtime.process_group.subprocess.Popen", lambda *_a, **_k: next(made))
    return ProcessGroup("module", len(processes), [], {}, 0)


@pytest.mark.parametrize(
    ("codes", "outcome"),
    [
        ((0, 0), 0),
        ((0, 3), 3),
        ((1, HANGS), 1),
        ((-9, HANGS, HANGS), 137),
        ((-6, 2), 2),  # one panics because the other has refused to run
        ((2, HANGS), 2),
    ],
)
def test_the_outcome_of_a_group(
    monkeypatch: pytest.MonkeyPatch, codes: tuple[int | None, ...], outcome: int
) -> None:
    """The exit code is 0 or that of a failure, and no process is left running."""
    processes = [FakeProcess(code) for code in codes]
    assert group(monkeypatch, *processes).wait() == outcome
    assert all(process.ended.is_set() for process in processes)


def test_a_stop_reaches_every_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes that have started end by themselves."""
    processes = [FakeProcess(0), FakeProcess(0)]
    running = group(monkeypatch, *processes)
    running.stop()
    assert [process.stops for process in processes] == [1, 1]
    assert running.wait() == 0


def test_an_interrupt_of_the_terminal_reaches_the_launcher_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The processes inherit blocked signals; the launcher receives them as before."""
    blocked: list[set[int]] = []

    def start(*_arguments: object, **_options: object) -> FakeProcess:
        blocked.append({*signal.pthread_sigmask(signal.SIG_BLOCK, [])})
        return FakeProcess(0)

    monkeypatch.setattr("runtime.process_group.subprocess.Popen", start)
    assert ProcessGroup("module", 2, [], {}, 0).wait() == 0
    assert blocked == [{signal.SIGINT, signal.SIGHUP}] * 2
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == set()


def test_a_cluster_that_had_not_started_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    """One process was stopped during its start: the others would wait for it for ever."""
    starting, waiting = FakeProcess(-15), FakeProcess(HANGS)
    stopped = group(monkeypatch, starting, waiting)
    stopped.stop()
    assert stopped.wait() == 0
    assert waiting.code == -9
