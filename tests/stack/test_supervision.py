"""Supervision: started in order, stopped in order, every unexpected end reported."""

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from stack.components import SystemComponent
from stack.processes import find_process, save_record, spawn
from stack.service import StackStartError
from stack.supervision import CrashError, Supervisor, stop_leftovers
from tests.waiting import DEADLINE, until

SERVES = """
import signal, sys, time
from pathlib import Path
name, events = sys.argv[1], Path(sys.argv[2])
def note(what):
    with events.open("a") as file:
        file.write(f"{what} {name}\\n")
def leave(*_):
    time.sleep(0.2)
    note("stopped")
    sys.exit(int(sys.argv[3]))
signal.signal(signal.SIGTERM, leave)
note("started")
while True:
    time.sleep(0.05)
"""


class FakeSystem:
    """A supervisor of fake components, with their events and the shown states."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.events = folder / "events"
        self.events.touch()
        self.shown: list[tuple[str, str]] = []
        self.supervisor = Supervisor(
            folder, lambda name, state: self.shown.append((name, state)), (sys.executable, "-c")
        )

    def server(self, name: str, exit_code: int = 0) -> SystemComponent:
        """Return a component that runs until it is stopped."""

        async def ready() -> bool:
            return f"started {name}" in self.read_events()

        argv = (SERVES, name, str(self.events), str(exit_code))
        return SystemComponent(name, argv, is_ready=ready, grace=DEADLINE)

    def read_events(self) -> list[str]:
        """Return the events so far."""
        return self.events.read_text().splitlines()

    async def start(self, *components: SystemComponent) -> None:
        """Start components in order."""
        for component in components:
            await self.supervisor.start(component, {})


@pytest.fixture
def system(tmp_path: Path) -> FakeSystem:
    """Return a system without components."""
    return FakeSystem(tmp_path)


def test_components_stop_in_order_one_after_the_other(system: FakeSystem) -> None:
    """Each is ready before the next starts, and has ended before the next is stopped."""

    async def run() -> Sequence[str]:
        await system.start(*(system.server(name) for name in ("flow", "api", "producer")))
        system.supervisor.check()
        return await system.supervisor.stop(("producer", "flow", "api", "topics"))

    assert asyncio.run(run()) == []
    assert system.read_events() == [
        *("started flow", "started api", "started producer"),
        *("stopped producer", "stopped flow", "stopped api"),
    ]
    assert list(system.folder.glob("*.pid")) == []


def test_what_runs_once_ends_before_the_next_starts(system: FakeSystem) -> None:
    """The start waits for its exit, which is not a crash."""
    once = SystemComponent("topics", ("import time; time.sleep(0.3); print('made')",), runs="once")
    asyncio.run(system.start(once))
    assert (system.folder / "topics.log").read_text() == "made\n"
    assert system.shown == [("topics", "starting"), ("topics", "done")]


def test_a_one_shot_that_fails_is_a_crash(system: FakeSystem) -> None:
    """Its exit code, the end of its log and the log's path are in the message."""
    once = SystemComponent("topics", ("import sys; sys.exit('no broker')",), runs="once")
    with pytest.raises(CrashError) as error:
        asyncio.run(system.start(once))
    message = str(error.value)
    assert "topics ended with exit code 1" in message
    assert "no broker" in message
    assert str(system.folder / "topics.log") in message


def test_what_is_shown_has_no_log(system: FakeSystem, capfd: pytest.CaptureFixture[str]) -> None:
    """Its output and errors are on the terminal, where the message of a crash says to look."""
    script = "import sys; print('40 %'); sys.exit('no more')"
    once = SystemComponent("producer", (script,), runs="once", is_shown=True)
    with pytest.raises(CrashError, match="producer ended with exit code 1; its output above"):
        asyncio.run(system.start(once))
    shown = capfd.readouterr()
    assert (shown.out, shown.err) == ("40 %\n", "no more\n")
    assert not (system.folder / "producer.log").exists()


@pytest.mark.parametrize("code", [0, 3])
def test_a_server_that_ends_by_itself_is_a_crash(system: FakeSystem, code: int) -> None:
    """Also with exit code 0, as it was not requested."""
    ending = SystemComponent("flow", (f"import sys; print('oh'); sys.exit({code})",))

    async def run() -> None:
        await system.start(system.server("api"), ending)
        while True:
            system.supervisor.check()
            await asyncio.sleep(0.05)

    with pytest.raises(CrashError, match=f"flow ended with exit code {code}"):
        asyncio.run(run())
    assert asyncio.run(system.supervisor.stop(("flow", "api"))) == []
    assert system.read_events() == ["started api", "stopped api"]


def test_what_runs_until_done_may_exit_with_0_only(system: FakeSystem) -> None:
    """The producer exits with 0 at the end of its file; an error is a crash."""

    async def run(code: int) -> None:
        producer = SystemComponent(
            "producer", (f"import sys; sys.exit({code})",), runs="until done"
        )
        await system.start(producer)
        process = find_process(system.folder, "producer")
        assert process is None or await process.wait_for_exit(DEADLINE)
        system.supervisor.check()

    asyncio.run(run(0))
    assert system.shown[-1] == ("producer", "done")
    with pytest.raises(CrashError, match="exit code 2"):
        asyncio.run(run(2))


def test_a_component_that_is_never_ready_is_reported(system: FakeSystem) -> None:
    """The start has a time limit, and the message has the log."""

    async def never() -> bool:
        return False

    never_ready = SystemComponent(
        "api", ("import time; time.sleep(60)",), is_ready=never, start_limit=0.3, grace=DEADLINE
    )
    with pytest.raises(StackStartError, match="api is not ready after 0 s") as error:
        asyncio.run(system.start(never_ready))
    assert str(system.folder / "api.log") in str(error.value)
    assert asyncio.run(system.supervisor.stop(("api",))) == []
    assert find_process(system.folder, "api") is None


def test_an_error_during_a_stop_is_reported(system: FakeSystem) -> None:
    """A component that fails while it stops may have lost data."""

    async def run() -> Sequence[str]:
        await system.start(system.server("flow", exit_code=4))
        return await system.supervisor.stop(("flow",))

    (problem,) = asyncio.run(run())
    assert "flow ended with exit code 4 when it was stopped" in problem
    assert str(system.folder / "flow.log") in problem


def test_leftovers_are_stopped_by_their_records(system: FakeSystem) -> None:
    """Components of an earlier run are stopped in order; other records are not affected."""
    for name in ("api", "flow", "other"):
        component = system.server(name)
        process = spawn([sys.executable, "-c", *component.argv], system.folder / "log")
        save_record(system.folder, name, process)

    async def run() -> list[str]:
        return await stop_leftovers(system.folder, ("producer", "flow", "api"))

    until(lambda: len(system.read_events()), "three starts", lambda count: count == 3)
    assert asyncio.run(run()) == ["flow", "api"]
    assert system.read_events()[3:] == ["stopped flow", "stopped api"]
    assert find_process(system.folder, "other") is not None
    asyncio.run(stop_leftovers(system.folder, ("other",)))
