"""`just up native` with fake components: `python -m fake_live FOLDER [SECONDS CODE]`.

With SECONDS and CODE the flow dies of itself.
"""

import os
import sys
from pathlib import Path

from mobility.settings import Settings, SettingsError
from stack.components import Component
from stack.live import native

FOLDER, *DEATH = sys.argv[1:]
EVENTS = Path(os.environ["FAKE_EVENTS"])


def fake(name: str, *argv: str, url: str = "") -> Component:
    """Return a component that is ready once it has said that it started."""

    def starts() -> int:
        return EVENTS.read_text().splitlines().count(f"started {name}")

    async def is_ready() -> bool:
        return starts() > before

    before = starts()
    return Component(name, ("fake_component", name, *argv), is_ready=is_ready, url=url)


def fakes(_folder: Path, _settings: Settings) -> tuple[Component, ...]:
    """Return the fakes under the names of the real ones."""
    return (
        Component("topics", ("fake_component", "topics", "0", "0"), runs="once"),
        fake("flow", *DEATH),
        fake("api", url="http://127.0.0.1:1"),
        fake("producer"),
    )


try:
    sys.exit(native(Path(FOLDER), fakes))
except SettingsError as error:
    sys.exit(str(error))
