"""Ends live streams when the process gets a stop signal; the server would wait for them forever."""

import asyncio
import signal
from types import FrameType
from typing import Final

from litestar import Litestar

from api.live.hub import LiveHub

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


async def drop_subscribers_on_stop(app: Litestar) -> None:
    """Make the signals that stop the server drop all subscribers too (an on_startup hook).

    Granian listens to signals through the event loop, which wakes up whatever handler Python calls.
    These handlers replace those of the loop, which do nothing.
    """
    hub: LiveHub | None = app.state.get("hub")
    if hub is None:
        return
    loop = asyncio.get_running_loop()

    def drop_all(_number: int, _frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(hub.drop_all)

    for number in _SIGNALS:
        signal.signal(number, drop_all)
