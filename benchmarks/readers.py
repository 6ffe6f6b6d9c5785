"""Readers of live events: 500 of them while 1,000 windows a second change, and a few that stall."""

import asyncio
import json
import socket
import time
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from typing import Final

import msgspec
from redis.asyncio import Redis

from audit.command_runner import find_free_port
from benchmarks.bench import Bench
from benchmarks.figures import percentile
from benchmarks.running import BenchmarkError, Family
from benchmarks.section import Section, Target
from benchmarks.service import running
from benchmarks.tenant import emptied, tenant
from mobility.entities import BY_NAME
from mobility.keys import RedisKeys
from mobility.settings import Settings

_TENANT: Final = "bench_readers"
_ENTITY: Final = BY_NAME["driver"]
_READERS: Final = 500
_STALLED: Final = 20
_CHANGES: Final = 1_000
_ENTRIES_A_SECOND: Final = 20
_SECONDS: Final = 60
_KEPT: Final = 500
_LONGEST_GAP: Final = 2.0
_MOST_GROWTH: Final = 32.0
_PATIENCE: Final = 30.0
_READ: Final = 1 << 18
_NOON: Final = 1_735_732_800_000

_TEXT: Final = (
    f"{_READERS} readers of all drivers' changes, {_CHANGES:,} windows a second in "
    f"{_ENTRIES_A_SECOND} entries, for {_SECONDS} s; {_STALLED} more that read nothing at all. "
    "A reader has stalled if it waited over 2 s for the next event, or misses one; age is from the "
    "writing of an entry to its arrival at a reader, which share the two cores with the API."
)


@dataclass(slots=True)
class Heard:
    """What a reader got: how many events, the longest wait for one, and the ages of some."""

    events: int = 0
    longest: float = 0.0
    last: float = field(default_factory=time.monotonic)
    ages: list[float] = field(default_factory=list)

    def note(self, events: int, newest: int | None) -> None:
        """Take down events that came together; `newest` is when the last was written, in ms."""
        now = time.monotonic()
        self.longest, self.last = max(self.longest, now - self.last), now
        self.events += events
        if newest is not None:
            self.ages.append(max(0.0, time.time() - newest / 1_000))


def measure(bench: Bench) -> Section:
    """Run the API alone, write changes as the sinks do, and read."""
    settings = msgspec.structs.replace(
        tenant(bench.settings, _TENANT), stores=("redis",), api_port=find_free_port(), api_rate=0
    )
    with (
        bench.commands.step(f"readers: {_READERS}, {_CHANGES:,} changes/s") as update,
        emptied(bench.settings, _TENANT),
    ):
        heard, entries, peaks = _run(bench, settings)
        update(f"{sum(reader.events for reader in heard):,} events")
    stalled = sum(h.longest > _LONGEST_GAP or h.events != entries for h in heard)
    ages = [age for reader in heard for age in reader.ages]
    growth = peaks[1] - peaks[0]
    rows = (
        (
            f"{len(heard)}",
            f"{sum(reader.events for reader in heard):,}",
            f"{stalled}",
            f"{percentile(ages, 0.5):.2f}",
            f"{percentile(ages, 0.99):.2f}",
            f"{peaks[1]:.0f}",
            f"{growth:.1f}",
        ),
    )
    headings = (
        *("readers", "events", "stalled", "age p50, s", "age p99, s"),
        *("peak memory, MiB", "of it in the last half"),
    )
    targets = (
        Target("stalled readers", stalled, 0, most=True),
        Target("growth of memory in the last half, MiB", growth, _MOST_GROWTH, most=True),
    )
    return Section("readers", "Live events", _TEXT, headings=headings, rows=rows, targets=targets)


def _run(bench: Bench, settings: Settings) -> tuple[list[Heard], int, tuple[float, float]]:
    with running(bench.commands, settings, "api") as pid:
        return asyncio.run(_read_and_write(settings, Family(pid)))


async def _read_and_write(
    settings: Settings, api: Family
) -> tuple[list[Heard], int, tuple[float, float]]:
    heard = [Heard() for _ in range(_READERS)]
    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(Redis.from_url(settings.redis))
        stalled = [await _connect(settings) for _ in range(_STALLED)]
        for one in stalled:
            stack.callback(one.close)
        joined = [asyncio.Event() for _ in heard]
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(_read(settings, one, arrived))
                for one, arrived in zip(heard, joined, strict=True)
            ]
            async with asyncio.timeout(_PATIENCE):
                await asyncio.gather(*(arrived.wait() for arrived in joined))
            half = _ENTRIES_A_SECOND * _SECONDS // 2
            peaks = []
            for part in range(2):
                await _write(redis, settings, range(part * half, (part + 1) * half))
                api.look()
                peaks.append(api.peak_mb)
            await _caught_up(heard, 2 * half)
            for task in tasks:
                task.cancel()
    return heard, 2 * half, (peaks[0], peaks[1])


async def _caught_up(heard: list[Heard], entries: int) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(_PATIENCE):
            while any(one.events < entries for one in heard):  # noqa: ASYNC110 - they tell nobody
                await asyncio.sleep(0.05)


async def _write(redis: Redis, settings: Settings, numbers: range) -> None:
    """Write entries at a steady pace."""
    key, began = RedisKeys.of(settings).live(_ENTITY), time.monotonic()
    for turn, number in enumerate(numbers):
        windows = [
            [f"driver-{number}-{one}", _NOON, 7, "12345678", "2345678", "34567890", "early"]
            for one in range(_CHANGES // _ENTRIES_A_SECOND)
        ]
        await redis.xadd(key, {"w": json.dumps(windows)}, maxlen=_KEPT, approximate=True)
        due = began + (turn + 1) / _ENTRIES_A_SECOND
        await asyncio.sleep(max(0.0, due - time.monotonic()))


async def _connect(settings: Settings) -> socket.socket:
    """Ask for events, and read nothing."""
    loop = asyncio.get_running_loop()
    one = socket.socket()
    one.setblocking(False)
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            await loop.sock_connect(one, (settings.api_host, settings.api_port))
            break
        except OSError:
            if time.monotonic() > deadline:
                msg = "the API did not listen in time"
                raise BenchmarkError(msg) from None
            await asyncio.sleep(0.1)
    await loop.sock_sendall(one, _request(settings))
    return one


async def _read(settings: Settings, heard: Heard, joined: asyncio.Event) -> None:
    """Read events until told to stop."""
    reader, writer = await asyncio.open_connection(settings.api_host, settings.api_port)
    try:
        writer.write(_request(settings))
        await reader.readuntil(b":\n\n")
        joined.set()
        heard.last = time.monotonic()
        while data := await reader.read(_READ):
            events = data.count(b"event: windows")
            if events:
                start = data.rfind(b"id: 1")
                at = data[start + 4 : start + 17]
                heard.note(events, int(at) if start >= 0 and at.isdigit() else None)
    finally:
        writer.close()


def _request(settings: Settings) -> bytes:
    path = f"/live/{_ENTITY.name}"
    host = f"{settings.api_host}:{settings.api_port}"
    return f"GET {path} HTTP/1.1\r\nHost: {host}\r\nAccept: text/event-stream\r\n\r\n".encode()
