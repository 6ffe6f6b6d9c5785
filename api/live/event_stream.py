"""The response to a subscriber of live events."""

import asyncio
from typing import Final

from litestar.types import Receive, Scope, Send

from api.disconnects import run_until_disconnect
from api.live.channel import Channel

_HEADERS: Final = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
]

_FIRST_BYTES: Final = b"retry: 2000\n:\n\n"
"""The time after which a client reconnects, and a comment that shows that it is connected."""


class EventStream:
    """An ASGI response that subscribes to a channel for as long as it is called.

    A subscriber that is dropped is inside `send`, which waits for a client that does not read: only
    cancelling it ends that. The client finds the stream ended, and resumes.
    """

    def __init__(self, channel: Channel, entity_id: str | None, last_id: str | None) -> None:
        self._channel = channel
        self._entity_id = entity_id
        self._last_id = last_id
        self._has_started = False

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """Send events until the client disconnects, is dropped, or the server stops."""
        await run_until_disconnect(self._send_events(send), receive)
        if not self._has_started:
            # Clients reconnect after a stream that ends, but not after a server error.
            await self._start(send)

    async def _send_events(self, send: Send) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - for the types: this runs in the task made above
        with self._channel.subscribe(self._entity_id, task.cancel) as subscriber:
            await self._channel.wait_until_started()
            # The response starts after the subscription: so a client that then queries the API
            # misses no change in between.
            await self._start(send)
            if self._last_id is not None:
                async for event in self._channel.missed_events(subscriber, self._last_id):
                    await _send_part(send, event)
            while True:
                await _send_part(send, await subscriber.next())

    async def _start(self, send: Send) -> None:
        self._has_started = True
        await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
        await _send_part(send, _FIRST_BYTES)


async def _send_part(send: Send, body: bytes) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": True})
