"""Systems that start at the same time do it one after the other."""

import asyncio
from pathlib import Path

from stack.start_turn import start_turn


def test_the_second_waits_and_says_so(tmp_path: Path) -> None:
    """It starts once the first one has its ports, also if that one has failed."""
    events: list[str] = []

    async def start(name: str, *, fails: bool = False) -> None:
        async with start_turn(tmp_path / "cache", lambda text: events.append(f"{name}: {text}")):
            events.append(f"{name} starts")
            await asyncio.sleep(0.3)
            events.append(f"{name} listens")
            if fails:
                raise OSError(name)

    async def run() -> None:
        await asyncio.gather(start("a", fails=True), start("b"), return_exceptions=True)

    asyncio.run(run())
    waits = "b: another system is starting: waiting until it has its ports"
    assert events == ["a starts", waits, "a listens", "b starts", "b listens"]
