"""The response that a reader of live events gets, from its first byte until it goes."""

import asyncio
from typing import Final

from litestar.types import Receive, Scope, Send

from api.live.channel import Channel

_HEADERS: Final = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
]

_OPENING: Final = b"retry: 2000\n:\n\n"
"""How long a client waits before it comes again, and a sign that it has arrived."""


class EventStream:
    """An ASGI response. Its reader is one for exactly as long as this is being called.

    A reader that is dropped sits in the midst of `send`, waiting for a client that takes nothing:
    only cancelling it lets go. The client finds the stream ended, and resumes.
    """

    def __init__(self, channel: Channel, entity_id: str | None, last: str | None) -> None:
        self._channel = channel
        self._entity_id = entity_id
        self._last = last
        self._has_begun = False

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """Send events until the client leaves, falls too far behind, or the server ends."""
        sending = asyncio.create_task(self._send(send))
        leaving = asyncio.create_task(_disconnected(receive))
        try:
            await asyncio.wait((sending, leaving), return_when=asyncio.FIRST_COMPLETED)
            if sending.done() and not sending.cancelled():
                sending.result()
        finally:
            for task in (sending, leaving):
                task.cancel()
            await asyncio.gather(sending, leaving, return_exceptions=True)
        if not self._has_begun:
            # A stream that ends is asked for again; a server error would not be.
            await self._begin(send)

    async def _send(self, send: Send) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - for the types: this runs in the task made above
        with self._channel.reading(self._entity_id, task.cancel) as reader:
            await self._channel.settled()
            # Not before: whoever asks once this has arrived misses nothing between the two.
            await self._begin(send)
            if self._last is not None:
                async for event in self._channel.missed(reader, self._last):
                    await _send_part(send, event)
            while True:
                await _send_part(send, await reader.next())

    async def _begin(self, send: Send) -> None:
        self._has_begun = True
        await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
        await _send_part(send, _OPENING)


async def _send_part(send: Send, body: bytes) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": True})


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
