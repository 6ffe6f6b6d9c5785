"""Ends live streams when the process is told to stop: its server would wait for them in vain."""

import asyncio
import signal
from types import FrameType
from typing import Final

from litestar import Litestar

from api.live.hub import Hub

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


async def end_with_the_server(app: Litestar) -> None:
    """Let the signals that stop the server end all streams too (`on_startup`).

    Granian listens by the event loop, which is woken beside whatever handler Python calls: this one
    stands in the place of the loop's, which does nothing.
    """
    hub: Hub | None = app.state.get("hub")
    if hub is None:
        return
    loop = asyncio.get_running_loop()

    def end(_number: int, _frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(hub.end)

    for number in _SIGNALS:
        signal.signal(number, end)
