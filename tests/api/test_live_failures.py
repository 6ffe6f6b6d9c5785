"""Live events while Redis is away, and while a stream starts or the API stops."""

import asyncio

import pytest
from redis import Redis

from api.live.change_stream import ChangeStream
from api.live.stream_entry import StreamId
from mobility.keys import RedisKeys
from mobility.settings import Settings
from tests.api.live_client import DRIVER, live_system
from tests.api.redis_proxy import proxied
from tests.waiting import until_async

pytestmark = pytest.mark.services


def test_redis_goes_away_and_comes_back(settings: Settings) -> None:
    """Subscribers get events when it is away and back, also those that connect in between."""

    async def run() -> None:
        async with (
            proxied(settings) as (proxy, proxied_settings),
            live_system(proxied_settings) as live,
        ):
            with Redis.from_url(settings.redis) as redis:
                live.redis = redis
                client = live.subscribe()
                await live.wait_until_following()
                live.add_entry(1)
                await client.gets(1)
                proxy.cut()
                await client.gets_event("away")
                late = live.subscribe()
                await late.gets_event("away", first=True)
                at = live.add_entry(2)
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
                live.add_entry(3)
                await client.gets(1, 2, 3)

    asyncio.run(run())


def test_a_stream_starts_without_redis(settings: Settings) -> None:
    """The stream begins with an away event, and gets changes once Redis is back."""

    async def run() -> None:
        async with (
            proxied(settings) as (proxy, proxied_settings),
            live_system(proxied_settings) as live,
        ):
            proxy.cut()
            client = live.subscribe()
            await client.gets_event("away", first=True)
            await proxy.restore()
            await live.wait_until_following()
            with Redis.from_url(settings.redis) as redis:
                live.redis = redis
                live.add_entry(1)
                await client.gets(1)
            assert client.names == ["away", "gap", "back", "windows"]

    asyncio.run(run())


def test_a_stream_starts_when_no_change_can_be_missed(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that queries the API after the start gets every change since its answer."""
    bounds = ChangeStream.bounds
    opened = asyncio.Event()

    async def delayed(stream: ChangeStream) -> tuple[StreamId, StreamId]:
        await opened.wait()
        return await bounds(stream)

    monkeypatch.setattr(ChangeStream, "bounds", delayed)

    async def run() -> None:
        async with live_system(settings) as live:
            client = live.subscribe()
            await asyncio.sleep(0.1)
            assert not client.started
            opened.set()
            await until_async(lambda: client.started, "the answer to begin")
            live.add_entry(1)
            await client.gets(1)

    asyncio.run(run())


def test_a_stop_before_a_stream_starts_ends_it_without_an_error(settings: Settings) -> None:
    """The client gets an empty stream and reconnects, which it would not do after an error."""

    async def run() -> None:
        async with (
            proxied(settings) as (_, proxied_settings),
            live_system(proxied_settings) as live,
        ):
            client = live.subscribe()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            live.hub.drop_all()
            await asyncio.gather(*live.calls)
            assert client.started
            assert client.events == []

    asyncio.run(run())
