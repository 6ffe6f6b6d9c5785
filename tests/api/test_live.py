"""Live events over a real Redis: in order, each once, resumed, and never waited for."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, cast

import msgspec
import polars as pl
import pytest
from litestar.testing import TestClient
from litestar.types import HTTPScope, Message
from redis import Redis

import api.live.channel
import api.live.reader
from api.app import create_app
from api.live.changes import ChangeLog
from api.live.channel import Channel
from api.live.entry import Entry, StreamId
from api.live.hub import Hub
from api.live.reader import QUEUE
from api.live.stream import EventStream
from mobility.entities import BY_NAME
from mobility.keys import RedisKeys
from mobility.records import WINDOW_SCHEMA
from mobility.settings import Settings
from sinks.redis import connect_redis
from tests.api.test_app import problem_of
from tests.strategies import NOON
from tests.waiting import until_async

DRIVER = BY_NAME["driver"]
Event = tuple[str | None, str, Any]


@dataclass
class Client:
    """A client of an event stream that takes as much as it is allowed to, and may leave."""

    takes: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(10**9))
    body: bytes = b""
    started: bool = False
    left: asyncio.Event = field(default_factory=asyncio.Event)

    async def send(self, message: Message) -> None:
        """Take a part of the answer, once there is room for it."""
        if message["type"] == "http.response.start":
            self.started = True
            return
        await self.takes.acquire()
        assert message["type"] == "http.response.body"
        self.body += message["body"]

    async def receive(self) -> Any:  # noqa: ANN401 - an ASGI message
        """Say that the client has left, when it has."""
        await self.left.wait()
        return {"type": "http.disconnect"}

    @property
    def events(self) -> list[Event]:
        """What has come: id, event, data."""
        found = []
        for block in self.body.decode().split("\n\n"):
            lines = dict(line.split(": ", 1) for line in block.split("\n") if ": " in line)
            if "event" in lines:
                found.append((lines.get("id"), lines["event"], json.loads(lines["data"])))
        return found

    @property
    def counts(self) -> list[int]:
        """The trip counts of the windows that have come."""
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
class City:
    """A hub and the stream that it reads."""

    settings: Settings
    hub: Hub
    redis: "Redis"
    calls: list[asyncio.Task[None]] = field(default_factory=list)

    @property
    def channel(self) -> Channel:
        """The changes of drivers."""
        return self.hub.channel(DRIVER)

    def change(self, count: int, *ids: str) -> str:
        """Write an entry as the sinks do, of windows with this trip count; return its id."""
        windows = [
            [one, NOON, count, str(count * 2_500_000), "1500000", "-250000", "early"]
            for one in ids or ("d1",)
        ]
        key = RedisKeys.of(self.settings).live(DRIVER)
        at: Any = self.redis.xadd(key, {"w": json.dumps(windows)})
        return cast("bytes", at).decode()

    def read(
        self, entity_id: str | None = None, last: str | None = None, client: Client | None = None
    ) -> Client:
        """Start a reader."""
        found = client or Client()
        stream = EventStream(self.channel, entity_id, last)
        call = stream(cast("HTTPScope", {}), found.receive, found.send)
        self.calls.append(asyncio.create_task(call))
        return found

    async def settled(self) -> None:
        """Wait until the channel follows the stream."""
        await until_async(lambda: self.channel._position, "the channel to follow")


@asynccontextmanager
async def city(settings: Settings) -> AsyncIterator[City]:
    """Open a hub, and close it with all its readers."""
    with Redis.from_url(settings.redis) as redis:
        found = City(settings, Hub(settings), redis)
        try:
            yield found
        finally:
            for call in found.calls:
                call.cancel()
            await asyncio.gather(*found.calls, return_exceptions=True)
            assert found.channel.readers == 0
            await found.hub.close()


pytestmark = pytest.mark.services


def test_changes_arrive_in_units_and_in_order(settings: Settings) -> None:
    """An entry becomes one event with its id; amounts are units, times ISO 8601."""

    async def run() -> None:
        async with city(settings) as here:
            client = here.read()
            await here.settled()
            at = here.change(2, "d1", "d\n2")
            here.change(3)
            await client.gets(2, 2, 3)
            assert client.body.startswith(b"retry: 2000\n:\n\n")
            first, name, data = client.events[0]
            assert (first, name, data["entity"]) == (at, "windows", "driver")
            assert data["windows"][1] == {
                "id": "d\n2",
                "window_start": "2025-01-01T12:00:00Z",
                "window_end": "2025-01-01T12:05:00Z",
                "trip_count": 2,
                "avg_duration": 2.5,
                "total_duration": 5.0,
                "total_distance": 1.5,
                "total_revenue": -0.25,
                "pane": "early",
            }

    asyncio.run(run())


def test_what_the_sinks_apply_arrives(settings: Settings) -> None:
    """The sinks' own script writes the entries: a window that changed, and no repeat of it."""

    async def run() -> None:
        async with city(settings) as here:
            client = here.read("a/b")
            await here.settled()
            sink = connect_redis(settings, "main")
            for count in (1, 1, 3):
                row = ("a/b", NOON, count, 10_000_001, 2_500_000, -1, *[NOON + 1] * 2, "early", 0)
                sink.apply(DRIVER, pl.DataFrame([row], schema=WINDOW_SCHEMA, orient="row"))
            sink.close()
            await client.gets(1, 3)
            (window,) = client.events[-1][2]["windows"]
            assert window["total_duration"] == 10.000001
            assert window["total_revenue"] == -0.000001
            assert (window["window_start"], window["pane"]) == ("2025-01-01T12:00:00Z", "early")

    asyncio.run(run())


def test_an_id_has_its_own_events(settings: Settings) -> None:
    """A reader of an id gets its windows alone, whatever characters it has."""

    async def run() -> None:
        async with city(settings) as here:
            one, two = here.read("a/b"), here.read("<img onerror=x>")
            await here.settled()
            here.change(1, "a/b", "other")
            here.change(2, "other")
            here.change(3, "<img onerror=x>", "a/b")
            await one.gets(1, 3)
            await two.gets(3)
            assert two.events[0][2]["windows"][0]["id"] == "<img onerror=x>"

    asyncio.run(run())


def test_who_comes_back_misses_nothing(settings: Settings) -> None:
    """What came after the last event, each once, then what follows; also over a new process."""

    async def run() -> None:
        async with city(settings) as here:
            here.change(0)
            ids = [here.change(count, "d1", "d2") for count in range(1, 40)]
            client = here.read(last=ids[9])
            one = here.read("d2", last=ids[35])
            await client.gets_last(39)
            here.change(40)
            await client.gets_last(40)
            assert client.counts[:-1] == [count for count in range(11, 40) for _ in range(2)]
            assert one.counts == [37, 38, 39]
            late = here.read(last=ids[-1])
            await late.gets(40)
            here.change(41)
            await late.gets(40, 41)
            assert not [name for _, name, _ in late.events if name != "windows"]

    asyncio.run(run())


def test_joining_amid_changes_doubles_and_drops_nothing(settings: Settings) -> None:
    """While entries come all the time, resuming readers get each of theirs once."""

    async def run() -> None:
        async with city(settings) as here:
            ids = [here.change(count) for count in range(5)]
            clients = []
            for count in range(5, 60):
                ids.append(here.change(count))
                clients.append((count - 3, here.read(last=ids[count - 3])))
                await asyncio.sleep(0)
            for last, client in clients:
                await client.gets_last(59)
                assert client.counts == list(range(last + 1, 60))

    asyncio.run(run())


@pytest.mark.parametrize("last", ["1-1", "99999999999999-0", "x", "", "1-" + "9" * 5_000, "²-1"])
def test_what_is_too_old_or_unknown_is_a_gap(settings: Settings, last: str) -> None:
    """The reader is told, and gets what comes from now on."""

    async def run() -> None:
        async with city(settings) as here:
            here.change(1)
            here.change(2)
            client = here.read(last=last)
            await client.gets_event("gap", first=True)
            assert client.events[0][:2] == (None, "gap")
            here.change(3)
            await client.gets(3)

    asyncio.run(run())


def test_what_is_kept_is_bounded(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Old entries make room for new ones: who left before them finds a gap, others do not."""
    monkeypatch.setattr(api.live.channel, "_KEPT", 1_000)

    async def run() -> None:
        async with city(settings) as here:
            ids = [here.change(count) for count in range(100)]
            old, new = here.read(last=ids[50]), here.read(last=ids[-3])
            await new.gets(98, 99)
            await old.gets_event("gap", first=True)
            assert here.channel._size <= 1_000
            assert here.channel._size == sum(entry.size for entry in here.channel._kept)

    asyncio.run(run())


def test_a_slow_reader_is_dropped_and_nobody_waits(settings: Settings) -> None:
    """One that takes nothing is let go of; the others have everything."""

    async def run() -> None:
        async with city(settings) as here:
            stalled = here.read(client=Client(takes=asyncio.Semaphore(1)))
            quick = here.read()
            await here.settled()
            total = QUEUE + 40
            for count in range(total):
                here.change(count)
                if count % 50 == 0:
                    await quick.gets_last(count)
            await until_async(lambda: len(quick.counts), f"{total} events", total.__eq__)
            assert quick.counts == list(range(total))
            await until_async(here.calls[0].done, "the end of the slow one")
            assert here.calls[0].exception() is None
            assert stalled.counts == []
            assert (here.channel.dropped, here.channel.readers) == (1, 1)

    asyncio.run(run())


def test_readers_that_leave_or_are_cancelled_leak_nothing(settings: Settings) -> None:
    """Whoever goes, in whatever way, is forgotten: readers, ids and tasks."""

    async def run() -> None:
        async with city(settings) as here:
            clients = [here.read(f"d{number}") for number in range(20)]
            clients += [here.read() for _ in range(20)]
            await here.settled()
            await until_async(lambda: here.channel.readers, "40 readers", (40).__eq__)
            for client, call in zip(clients, here.calls, strict=True):
                if len(client.body) % 2:
                    call.cancel()
                else:
                    client.left.set()
            here.calls[0].cancel()
            here.calls[-1].cancel()
            await asyncio.gather(*here.calls, return_exceptions=True)
            assert here.channel.readers == 0
            assert not here.channel._by_id
            follower = here.channel._following
            others = asyncio.all_tasks() - {asyncio.current_task(), follower}
            assert not others

    asyncio.run(run())


def test_redis_may_go_and_come(settings: Settings) -> None:
    """Readers are told that it is away and that it is back, those who come meanwhile too."""

    async def run() -> None:
        async with proxied(settings) as (proxy, behind), city(behind) as here:
            with Redis.from_url(settings.redis) as redis:
                here.redis = redis
                client = here.read()
                await here.settled()
                here.change(1)
                await client.gets(1)
                proxy.cut()
                await client.gets_event("away")
                late = here.read()
                await late.gets_event("away", first=True)
                at = here.change(2)
                await proxy.restore()
                await client.gets(1, 2)
                assert client.names == ["windows", "away", "back", "windows"]
                assert client.events[-1][0] == at
                proxy.cut()
                await client.gets_event("away")
                redis.delete(RedisKeys.of(settings).live(DRIVER))
                await proxy.restore()
                await client.gets_event("back")
                assert client.events[-2][1] == "gap"
                here.change(3)
                await client.gets(1, 2, 3)

    asyncio.run(run())


def test_without_redis_at_the_start_a_reader_waits(settings: Settings) -> None:
    """The stream is there at once, says that Redis is away, and begins when it comes."""

    async def run() -> None:
        async with proxied(settings) as (proxy, behind), city(behind) as here:
            proxy.cut()
            client = here.read()
            await client.gets_event("away", first=True)
            await proxy.restore()
            await here.settled()
            with Redis.from_url(settings.redis) as redis:
                here.redis = redis
                here.change(1)
                await client.gets(1)
            assert client.names == ["away", "gap", "back", "windows"]

    asyncio.run(run())


def test_an_answer_begins_when_nothing_is_missed_any_more(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever asks a question once the stream is open gets every change after the answer."""
    ends = ChangeLog.ends
    opened = asyncio.Event()

    async def held(log: ChangeLog) -> tuple[StreamId, StreamId]:
        await opened.wait()
        return await ends(log)

    monkeypatch.setattr(ChangeLog, "ends", held)

    async def run() -> None:
        async with city(settings) as here:
            client = here.read()
            await asyncio.sleep(0.1)
            assert not client.started
            opened.set()
            await until_async(lambda: client.started, "the answer to begin")
            here.change(1)
            await client.gets(1)

    asyncio.run(run())


def test_a_server_that_ends_before_a_stream_begins_lets_it_come_again(settings: Settings) -> None:
    """The client finds an empty stream, not an error, after which it would not return."""

    async def run() -> None:
        async with proxied(settings) as (_, behind), city(behind) as here:
            client = here.read()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            here.hub.end()
            await asyncio.gather(*here.calls)
            assert client.started
            assert client.events == []

    asyncio.run(run())


def test_silence_is_broken_by_heartbeats(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nothing changes, comments show that the connection lives."""
    monkeypatch.setattr(api.live.reader, "HEARTBEAT_SECONDS", 0.01)

    async def run() -> None:
        async with city(settings) as here:
            client = here.read()
            await until_async(
                lambda: client.body, "heartbeats", lambda it: it.count(b"\n:\n\n") > 5
            )
            assert client.events == []

    asyncio.run(run())


def test_what_cannot_be_read_stops_nothing(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    """An entry of another kind is logged and empty; the next ones are sent."""

    async def run() -> None:
        async with city(settings) as here:
            client = here.read()
            await here.settled()
            here.redis.xadd(RedisKeys.of(settings).live(DRIVER), {"w": '[["d1", "x"]]'})
            here.redis.xadd(RedisKeys.of(settings).live(DRIVER), {"other": "[]"})
            here.change(1)
            await client.gets(1)
            assert "can't be read" in caplog.text

    asyncio.run(run())


def test_sums_beyond_doubles_are_rounded_once() -> None:
    """Amounts come as text, so that neither Lua nor JSON rounds them on the way."""
    raw = b'[["d1", %d, 3, "4611686018427387905", "0", "0", "late"]]' % NOON
    entry = Entry(DRIVER, 300_000, StreamId(1, 0), raw)
    (line,) = [line for line in entry.event.split(b"\n") if line.startswith(b"data: ")]
    (window,) = json.loads(line[6:])["windows"]
    assert window["total_duration"] == float("4611686018427.387905")
    assert window["avg_duration"] == float("1537228672809.129301666666666666666666")


def test_without_redis_there_are_no_live_events(settings: Settings) -> None:
    """A system of Postgres alone says what is missing; unknown entities and full houses too."""
    alone = msgspec.structs.replace(settings, stores=("postgres",))
    with TestClient(create_app(alone), "http://127.0.0.1") as http:
        assert problem_of(http.get("/live/driver"), 404)["type"] == "/problems/needs-redis"
    full = msgspec.structs.replace(settings, api_live_readers=0)
    with TestClient(create_app(full), "http://127.0.0.1") as http:
        problem_of(http.get("/live/tram"), 404)
        response = http.get("/live/driver/x")
    assert problem_of(response, 503)["type"] == "/problems/too-many-readers"
    assert response.headers["retry-after"]


class Proxy:
    """Stands between a client and Redis, and can be cut."""

    def __init__(self, host: str, port: int) -> None:
        self._target = host, port
        self._server: asyncio.Server | None = None
        self._lines: set[asyncio.StreamWriter] = set()
        self.port = 0

    async def restore(self) -> None:
        """Let connections through."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    def cut(self) -> None:
        """Cut what is connected, and take nothing new."""
        if self._server is not None:
            self._server.close()
        for line in self._lines:
            line.transport.abort()
        self._lines.clear()

    async def _serve(self, ours: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        theirs, on = await asyncio.open_connection(*self._target)
        self._lines |= {back, on}
        await asyncio.gather(_pump(ours, on), _pump(theirs, back), return_exceptions=True)


async def _pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await source.read(65_536):
            target.write(data)
    target.transport.abort()


@asynccontextmanager
async def proxied(settings: Settings) -> AsyncIterator[tuple[Proxy, Settings]]:
    """Put a proxy before Redis."""
    with Redis.from_url(settings.redis) as redis:
        kwargs = redis.connection_pool.connection_kwargs
    proxy = Proxy(kwargs["host"], kwargs["port"])
    await proxy.restore()
    url = settings.redis.replace(f"{kwargs['host']}:{kwargs['port']}", f"127.0.0.1:{proxy.port}")
    assert url != settings.redis
    try:
        yield proxy, msgspec.structs.replace(settings, redis=url)
    finally:
        proxy.cut()
