"""Live events from a real Redis: in order, each once, resumed, with bounded queues."""

import asyncio
import json
from decimal import Decimal

import msgspec
import pytest
from litestar.testing import TestClient

import api.live.channel
import api.live.subscriber
from api.app import create_app
from api.live.stream_entry import StreamEntry, StreamId
from api.live.subscriber import MAX_QUEUED
from mobility.keys import RedisKeys
from mobility.measures import TOTALS
from mobility.settings import Settings
from sinks.redis import connect_redis
from tests.api.live_client import DRIVER, Client, live_system
from tests.api.memory_store import problem_of
from tests.strategies import NOON
from tests.waiting import until_async
from tests.windows import window, window_frame

pytestmark = pytest.mark.services


def test_events_are_in_units_and_in_order(settings: Settings) -> None:
    """An entry is sent as one event with its id; amounts are in units, times in ISO 8601."""

    async def run() -> None:
        async with live_system(settings) as live:
            client = live.subscribe()
            await live.wait_until_following()
            at = live.add_entry(2, "d1", "d\n2")
            live.add_entry(3)
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


def test_changes_by_the_sinks_are_sent(settings: Settings) -> None:
    """The script of the sinks adds an entry for a window that changed, not for a repeat."""

    async def run() -> None:
        async with live_system(settings) as live:
            client = live.subscribe("a/b")
            await live.wait_until_following()
            sink = connect_redis(settings, "main")
            for count in (1, 1, 3):
                amounts = dict(zip(TOTALS, (10_000_001, 2_500_000, -1), strict=True))
                row = window("a/b", NOON, count, **amounts, pane="early")
                sink.apply(DRIVER, window_frame([row]))
            sink.close()
            await client.gets(1, 3)
            (changed,) = client.events[-1][2]["windows"]
            assert changed["total_duration"] == 10.000001
            assert changed["total_revenue"] == -0.000001
            assert (changed["window_start"], changed["pane"]) == ("2025-01-01T12:00:00Z", "early")

    asyncio.run(run())


def test_a_subscriber_of_an_id_gets_its_windows_only(settings: Settings) -> None:
    """The id may have any characters."""

    async def run() -> None:
        async with live_system(settings) as live:
            one, two = live.subscribe("a/b"), live.subscribe("<img onerror=x>")
            await live.wait_until_following()
            live.add_entry(1, "a/b", "other")
            live.add_entry(2, "other")
            live.add_entry(3, "<img onerror=x>", "a/b")
            await one.gets(1, 3)
            await two.gets(3)
            assert two.events[0][2]["windows"][0]["id"] == "<img onerror=x>"

    asyncio.run(run())


def test_a_resumed_subscriber_misses_nothing(settings: Settings) -> None:
    """It gets each event after the last one once, then new ones, from a new process, too."""

    async def run() -> None:
        async with live_system(settings) as live:
            live.add_entry(0)
            ids = [live.add_entry(count, "d1", "d2") for count in range(1, 40)]
            client = live.subscribe(last=ids[9])
            one = live.subscribe("d2", last=ids[35])
            await client.gets_last(39)
            live.add_entry(40)
            await client.gets_last(40)
            assert client.counts[:-1] == [count for count in range(11, 40) for _ in range(2)]
            assert one.counts == [37, 38, 39]
            late = live.subscribe(last=ids[-1])
            await late.gets(40)
            live.add_entry(41)
            await late.gets(40, 41)
            assert not [name for _, name, _ in late.events if name != "windows"]

    asyncio.run(run())


def test_resuming_during_changes_repeats_and_loses_nothing(settings: Settings) -> None:
    """While entries are added all the time, resumed subscribers get each event once."""

    async def run() -> None:
        async with live_system(settings) as live:
            ids = [live.add_entry(count) for count in range(5)]
            clients = []
            for count in range(5, 60):
                ids.append(live.add_entry(count))
                clients.append((count - 3, live.subscribe(last=ids[count - 3])))
                await asyncio.sleep(0)
            for last, client in clients:
                await client.gets_last(59)
                assert client.counts == list(range(last + 1, 60))

    asyncio.run(run())


@pytest.mark.parametrize("last", ["1-1", "99999999999999-0", "x", "", "1-" + "9" * 5_000, "²-1"])
def test_an_old_or_unknown_event_id_is_a_gap(settings: Settings, last: str) -> None:
    """The subscriber gets a gap event, and then new events."""

    async def run() -> None:
        async with live_system(settings) as live:
            live.add_entry(1)
            live.add_entry(2)
            client = live.subscribe(last=last)
            await client.gets_event("gap", first=True)
            assert client.events[0][:2] == (None, "gap")
            live.add_entry(3)
            await client.gets(3)

    asyncio.run(run())


def test_the_kept_entries_are_limited(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """New entries replace old ones; a subscriber that resumes before the kept ones gets a gap."""
    monkeypatch.setattr(api.live.channel, "_MAX_KEPT_BYTES", 1_000)

    async def run() -> None:
        async with live_system(settings) as live:
            ids = [live.add_entry(count) for count in range(100)]
            old, new = live.subscribe(last=ids[50]), live.subscribe(last=ids[-3])
            await new.gets(98, 99)
            await old.gets_event("gap", first=True)
            assert live.channel._size <= 1_000
            assert live.channel._size == sum(entry.size for entry in live.channel._kept)

    asyncio.run(run())


def test_a_slow_subscriber_is_dropped(settings: Settings) -> None:
    """A client that reads nothing is disconnected, and others get all events without delay."""

    async def run() -> None:
        async with live_system(settings) as live:
            slow = live.subscribe(client=Client(credit=asyncio.Semaphore(1)))
            fast = live.subscribe()
            await live.wait_until_following()
            total = MAX_QUEUED + 40
            for count in range(total):
                live.add_entry(count)
                if count % 50 == 0:
                    await fast.gets_last(count)
            await until_async(lambda: len(fast.counts), f"{total} events", total.__eq__)
            assert fast.counts == list(range(total))
            await until_async(live.calls[0].done, "the end of the slow one")
            assert live.calls[0].exception() is None
            assert slow.counts == []
            assert (live.channel.dropped, live.channel.subscribers) == (1, 1)

    asyncio.run(run())


def test_disconnected_subscribers_leak_nothing(settings: Settings) -> None:
    """After a disconnection or a cancellation no subscriber, id or task remains."""

    async def run() -> None:
        async with live_system(settings) as live:
            clients = [live.subscribe(f"d{number}") for number in range(20)]
            clients += [live.subscribe() for _ in range(20)]
            await live.wait_until_following()
            await until_async(lambda: live.channel.subscribers, "40 subscribers", (40).__eq__)
            for client, call in zip(clients, live.calls, strict=True):
                if len(client.body) % 2:
                    call.cancel()
                else:
                    client.disconnected.set()
            live.calls[0].cancel()
            live.calls[-1].cancel()
            await asyncio.gather(*live.calls, return_exceptions=True)
            assert live.channel.subscribers == 0
            assert not live.channel._by_id
            follower = live.channel._follower
            others = asyncio.all_tasks() - {asyncio.current_task(), follower}
            assert not others

    asyncio.run(run())


def test_heartbeats_are_sent_without_changes(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If nothing changes, comments show that the connection is open."""
    monkeypatch.setattr(api.live.subscriber, "HEARTBEAT_SECONDS", 0.01)

    async def run() -> None:
        async with live_system(settings) as live:
            client = live.subscribe()
            await until_async(
                lambda: client.body, "heartbeats", lambda it: it.count(b"\n:\n\n") > 5
            )
            assert client.events == []

    asyncio.run(run())


def test_unreadable_entries_are_skipped(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    """An entry that can't be decoded is logged, and its event is empty; later ones are sent."""

    async def run() -> None:
        async with live_system(settings) as live:
            client = live.subscribe()
            await live.wait_until_following()
            live.redis.xadd(RedisKeys.of(settings).live(DRIVER), {"w": '[["d1", "x"]]'})
            live.redis.xadd(RedisKeys.of(settings).live(DRIVER), {"other": "[]"})
            live.add_entry(1)
            await client.gets(1)
            assert "can't be read" in caplog.text

    asyncio.run(run())


def test_an_entry_for_missing_changes_is_a_gap_for_everybody(settings: Settings) -> None:
    """Also for a subscriber of one id, and for one that resumes."""

    async def run() -> None:
        async with live_system(settings) as live:
            first = live.add_entry(0)
            subscribers = live.subscribe(), live.subscribe("d1")
            await live.wait_until_following()
            live.redis.xadd(RedisKeys.of(settings).live(DRIVER), {"gap": "1"})
            for client in (*subscribers, live.subscribe("d2", last=first)):
                await client.gets_event("gap")

    asyncio.run(run())


def test_sums_beyond_doubles_have_all_digits() -> None:
    """Amounts are text in Redis, so that nothing rounds them; means are rounded once."""
    raw = b'[["d1", %d, 3, "4611686018427387905", "0", "0", "late"]]' % NOON
    entry = StreamEntry(DRIVER, 300_000, StreamId(1, 0), raw)
    (line,) = [line for line in entry.event.split(b"\n") if line.startswith(b"data: ")]
    (window,) = json.loads(line[6:], parse_float=Decimal)["windows"]
    assert window["total_duration"] == Decimal("4611686018427.387905")
    mean = float("1537228672809.129301666666666666666666")
    assert float(window["avg_duration"]) == mean


def test_problems_of_live_events(settings: Settings) -> None:
    """Without Redis, for an unknown entity, and when the limit of readers is reached."""
    one_store = msgspec.structs.replace(settings, stores=("postgres",))
    with TestClient(create_app(one_store), "http://127.0.0.1") as http:
        assert problem_of(http.get("/live/driver"), 404)["type"] == "/problems/needs-redis"
    full = msgspec.structs.replace(settings, api_live_readers=0)
    with TestClient(create_app(full), "http://127.0.0.1") as http:
        problem_of(http.get("/live/tram"), 404)
        response = http.get("/live/driver/x")
    assert problem_of(response, 503)["type"] == "/problems/too-many-readers"
    assert response.headers["retry-after"]
