"""Work that ends when its client disconnects."""

import asyncio
from collections.abc import Coroutine

from litestar.types import Receive


async def run_until_disconnect(work: Coroutine[None, None, None], receive: Receive) -> None:
    """Run work, and cancel it when the client disconnects; it may cancel itself too.

    Work that waits in `send` for a client that does not read ends by cancelling only. Raises what
    the work raises.
    """
    working = asyncio.create_task(work)
    disconnecting = asyncio.create_task(_wait_for_disconnect(receive))
    try:
        await asyncio.wait((working, disconnecting), return_when=asyncio.FIRST_COMPLETED)
        if working.done() and not working.cancelled():
            working.result()
    finally:
        for task in (working, disconnecting):
            task.cancel()
        await asyncio.gather(working, disconnecting, return_exceptions=True)


async def _wait_for_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
