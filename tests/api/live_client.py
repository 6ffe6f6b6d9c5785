"""A client of live events, and a hub on a real Redis that it subscribes to."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final, cast

from litestar.types import HTTPScope, Message
from redis import Redis

from api.live.channel import Channel
from api.live.event_stream import EventStream
from api.live.hub import LiveHub
from mobility.entities import BY_NAME
from mobility.keys import RedisKeys
from mobility.settings import Settings
from tests.strategies import NOON
from tests.waiting import until_async

DRIVER: Final = BY_NAME["driver"]
Event = tuple[str | None, str, Any]


@dataclass
class Client:
    """A client of a stream: it reads what `credit` allows, and may disconnect."""

    credit: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(10**9))
    body: bytes = b""
    started: bool = False
    ended: bool = False
    disconnected: asyncio.Event = field(default_factory=asyncio.Event)

    async def send(self, message: Message) -> None:
        """Read a part of the response once there is credit for it."""
        if message["type"] == "http.response.start":
            self.started = True
            return
        await self.credit.acquire()
        assert message["type"] == "http.response.body"
        self.body += message["body"]
        self.ended = not message["more_body"]

    async def receive(self) -> Any:  # noqa: ANN401 - an ASGI message
        """Return the message that the client has disconnected, once it has."""
        await self.disconnected.wait()
        return {"type": "http.disconnect"}

    @property
    def events(self) -> list[Event]:
        """The events so far: id, event, data."""
        found = []
        for block in self.body.decode().split("\n\n"):
            lines = dict(line.split(": ", 1) for line in block.split("\n") if ": " in line)
            if "event" in lines:
                found.append((lines.get("id"), lines["event"], json.loads(lines["data"])))
        return found

    @property
    def counts(self) -> list[int]:
        """The trip counts of the windows so far."""
        return [
            window["trip_count"]
            for _, name, data in self.events
            if name == "windows"
            for window in data["windows"]
        ]

    @property
    def names(self) -> list[str]:
        """What the events that have come are."""
        return [name for _, name, _ in self.events]

    async def gets(self, *counts: int) -> None:
        """Wait until windows with exactly these trip counts have come."""
        await until_async(lambda: self.counts, f"{counts}", lambda seen: seen == [*counts])

    async def gets_last(self, count: int) -> None:
        """Wait until the newest window has this trip count."""
        await until_async(lambda: self.counts, f"{count}", lambda seen: seen[-1:] == [count])

    async def gets_event(self, name: str, *, first: bool = False) -> None:
        """Wait until the newest event, or the first and only one, is this."""
        newest = slice(None) if first else slice(-1, None)
        await until_async(lambda: self.names, name, lambda seen: seen[newest] == [name])


@dataclass
class LiveSystem:
    """A hub and the Redis whose streams it follows."""

    settings: Settings
    hub: LiveHub
    redis: Redis
    calls: list[asyncio.Task[None]] = field(default_factory=list)

    @property
    def channel(self) -> Channel:
        """The channel of drivers."""
        return self.hub.channel(DRIVER)

    def add_entry(self, count: int, *ids: str) -> str:
        """Add an entry as the sinks do, with windows of this trip count; return its id."""
        windows = [
            [one, NOON, count, str(count * 2_500_000), "1500000", "-250000", "early"]
            for one in ids or ("d1",)
        ]
        key = RedisKeys.of(self.settings).live(DRIVER)
        at: Any = self.redis.xadd(key, {"w": json.dumps(windows)})
        return cast("bytes", at).decode()

    def subscribe(
        self, entity_id: str | None = None, last: str | None = None, client: Client | None = None
    ) -> Client:
        """Start a subscriber."""
        found = client or Client()
        stream = EventStream(self.channel, entity_id, last)
        call = stream(cast("HTTPScope", {}), found.receive, found.send)
        self.calls.append(asyncio.create_task(call))
        return found

    async def wait_until_following(self) -> None:
        """Wait until the channel follows the stream."""
        await until_async(lambda: self.channel._position, "the channel to follow")


@asynccontextmanager
async def live_system(settings: Settings) -> AsyncIterator[LiveSystem]:
    """Yield a hub; cancel its subscribers and close it at the end."""
    with Redis.from_url(settings.redis) as redis:
        found = LiveSystem(settings, LiveHub(settings), redis)
        try:
            yield found
        finally:
            for call in found.calls:
                call.cancel()
            await asyncio.gather(*found.calls, return_exceptions=True)
            assert found.channel.subscribers == 0
            await found.hub.close()
