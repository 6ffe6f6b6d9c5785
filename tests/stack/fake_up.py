"""`just up native` with fake components: `python -m fake_up FOLDER [EVENT CODE]`.

With EVENT and CODE the flow exits by itself after the event.
"""

import os
import sys
from pathlib import Path

from mobility.settings import Settings, SettingsError
from stack.components import SystemComponent
from stack.up import run_native

FOLDER, *FLOW_EXIT = sys.argv[1:]
EVENTS = Path(os.environ["FAKE_EVENTS"])


def fake(name: str, *argv: str, url: str = "") -> SystemComponent:
    """Return a component that is ready once its start is among the events."""

    def starts() -> int:
        return EVENTS.read_text().splitlines().count(f"started {name}")

    async def is_ready() -> bool:
        return starts() > before

    before = starts()
    return SystemComponent(name, ("fake_component", name, *argv), is_ready=is_ready, url=url)


def fakes(_folder: Path, _settings: Settings) -> tuple[SystemComponent, ...]:
    """Return the fakes under the names of the real ones."""
    return (
        SystemComponent("topics", ("fake_component", "topics", "started topics", "0"), runs="once"),
        fake("flow", *FLOW_EXIT),
        fake("api", url="http://127.0.0.1:1"),
        fake("producer"),
    )


try:
    sys.exit(run_native(Path(FOLDER), fakes))
except SettingsError as error:
    sys.exit(str(error))
