"""Supervision: started in order, stopped in order, every end explained."""

import asyncio
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from stack.components import Component
from stack.processes import find, spawn, write_down
from stack.service import StartError
from stack.supervision import CrashError, Supervisor, stop_leftovers

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


class Stage:
    """A supervisor of fake components, and what they and it have said."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.events = folder / "events"
        self.events.touch()
        self.shown: list[tuple[str, str]] = []
        self.supervisor = Supervisor(
            folder, lambda name, state: self.shown.append((name, state)), (sys.executable, "-c")
        )

    def serving(self, name: str, exit_code: int = 0) -> Component:
        """Return a component that serves until it is stopped."""

        async def ready() -> bool:
            return f"started {name}" in self.said()

        argv = (SERVES, name, str(self.events), str(exit_code))
        return Component(name, argv, is_ready=ready, grace=5)

    def said(self) -> list[str]:
        """Return the events so far."""
        return self.events.read_text().splitlines()

    async def start(self, *components: Component) -> None:
        """Start components in order."""
        for component in components:
            await self.supervisor.start(component, {})


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    """Return an empty stage."""
    return Stage(tmp_path)


def test_components_stop_in_order_one_after_the_other(stage: Stage) -> None:
    """Each is ready before the next starts, and has ended before the next is stopped."""

    async def scene() -> Sequence[str]:
        await stage.start(*(stage.serving(name) for name in ("flow", "api", "producer")))
        stage.supervisor.check()
        return await stage.supervisor.stop(("producer", "flow", "api", "topics"))

    assert asyncio.run(scene()) == []
    assert stage.said() == [
        *("started flow", "started api", "started producer"),
        *("stopped producer", "stopped flow", "stopped api"),
    ]
    assert list(stage.folder.glob("*.pid")) == []


def test_what_runs_once_ends_before_the_next_starts(stage: Stage) -> None:
    """A one-shot component is waited for, and is no crash."""
    once = Component("topics", ("import time; time.sleep(0.3); print('made')",), runs="once")
    asyncio.run(stage.start(once))
    assert (stage.folder / "topics.log").read_text() == "made\n"
    assert stage.shown == [("topics", "starting"), ("topics", "done")]


def test_a_one_shot_that_fails_is_a_crash(stage: Stage) -> None:
    """Its exit code, the end of its log and the log's place are in the message."""
    once = Component("topics", ("import sys; sys.exit('no broker')",), runs="once")
    with pytest.raises(CrashError) as error:
        asyncio.run(stage.start(once))
    message = str(error.value)
    assert "topics ended with exit code 1" in message
    assert "no broker" in message
    assert str(stage.folder / "topics.log") in message


@pytest.mark.parametrize("code", [0, 3])
def test_a_server_that_ends_by_itself_is_a_crash(stage: Stage, code: int) -> None:
    """Even with exit code 0: nobody asked for it."""
    doomed = Component("flow", (f"import sys; print('oh'); sys.exit({code})",))

    async def scene() -> None:
        await stage.start(stage.serving("api"), doomed)
        while True:
            stage.supervisor.check()
            await asyncio.sleep(0.05)

    with pytest.raises(CrashError, match=f"flow ended with exit code {code}"):
        asyncio.run(scene())
    assert asyncio.run(stage.supervisor.stop(("flow", "api"))) == []
    assert stage.said() == ["started api", "stopped api"]


def test_what_runs_until_done_may_end_well_only(stage: Stage) -> None:
    """The end of the file is the producer's good end; an error is not."""

    async def scene(code: int) -> None:
        producer = Component("producer", (f"import sys; sys.exit({code})",), runs="until done")
        await stage.start(producer)
        process = find(stage.folder, "producer")
        assert process is None or await process.ended(10)
        stage.supervisor.check()

    asyncio.run(scene(0))
    assert stage.shown[-1] == ("producer", "done")
    with pytest.raises(CrashError, match="exit code 2"):
        asyncio.run(scene(2))


def test_a_component_that_is_never_ready_is_reported(stage: Stage) -> None:
    """The start is bounded, and the message names the log."""

    async def never() -> bool:
        return False

    deaf = Component(
        "api", ("import time; time.sleep(60)",), is_ready=never, start_limit=0.3, grace=5
    )
    with pytest.raises(StartError, match="api is not ready after 0 s") as error:
        asyncio.run(stage.start(deaf))
    assert str(stage.folder / "api.log") in str(error.value)
    assert asyncio.run(stage.supervisor.stop(("api",))) == []
    assert find(stage.folder, "api") is None


def test_a_bad_end_after_a_stop_is_told(stage: Stage) -> None:
    """A component that fails while it stops may have lost something: that is said."""

    async def scene() -> Sequence[str]:
        await stage.start(stage.serving("flow", exit_code=4))
        return await stage.supervisor.stop(("flow",))

    (complaint,) = asyncio.run(scene())
    assert "flow ended with exit code 4 when it was stopped" in complaint
    assert str(stage.folder / "flow.log") in complaint


def test_leftovers_are_stopped_by_their_records(stage: Stage) -> None:
    """What an earlier run left is stopped in order; what is not recorded is left alone."""
    for name in ("api", "flow", "other"):
        component = stage.serving(name)
        process = spawn([sys.executable, "-c", *component.argv], stage.folder / "log")
        write_down(stage.folder, name, process)

    async def scene() -> list[str]:
        return await stop_leftovers(stage.folder, ("producer", "flow", "api"))

    while len(stage.said()) < 3:
        time.sleep(0.01)
    assert asyncio.run(scene()) == ["flow", "api"]
    assert stage.said()[3:] == ["stopped flow", "stopped api"]
    assert find(stage.folder, "other") is not None
    asyncio.run(stop_leftovers(stage.folder, ("other",)))
