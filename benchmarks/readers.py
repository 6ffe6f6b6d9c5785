"""Readers of live events: 500 with 1,000 changed windows per second, and some that never read."""

import asyncio
import json
import socket
import time
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from typing import Final

from redis.asyncio import Redis

from benchmarks.benchmark_run import BenchmarkRun
from benchmarks.figures import percentile
from benchmarks.section import Section, Target
from benchmarks.service import run_service
from benchmarks.tenant import empty_tenant, served_settings
from benchmarks.timed_command import BenchmarkError, ProcessTree
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
_STREAM_LENGTH: Final = 500
_MAX_WAIT: Final = 2.0
_MAX_GROWTH: Final = 32.0
_TIMEOUT: Final = 30.0
_READ_BYTES: Final = 1 << 18
_NOON: Final = 1_735_732_800_000

_TEXT: Final = (
    f"{_READERS} readers of the changes of all drivers, {_CHANGES:,} windows per second in "
    f"{_ENTRIES_A_SECOND} entries, for {_SECONDS} s; {_STALLED} more connections that never read. "
    "A reader has stalled if it waited over 2 s for the next event, or missed one; latency is from "
    "the write of an entry to its arrival at a reader. Readers and API share the two cores."
)


@dataclass(slots=True)
class ReaderStats:
    """What a reader received: the number of events, the longest wait, and some latencies."""

    events: int = 0
    longest: float = 0.0
    last: float = field(default_factory=time.monotonic)
    latencies: list[float] = field(default_factory=list)

    def add(self, events: int, newest: int | None) -> None:
        """Add events that arrived together; `newest` is when the last was written (epoch ms)."""
        now = time.monotonic()
        self.longest, self.last = max(self.longest, now - self.last), now
        self.events += events
        if newest is not None:
            self.latencies.append(max(0.0, time.time() - newest / 1_000))


def measure(benchmark: BenchmarkRun) -> Section:
    """Run the API alone, write changes as the sinks do, and read."""
    settings = served_settings(benchmark.settings, _TENANT, "redis")
    with (
        benchmark.runner.step(f"readers: {_READERS}, {_CHANGES:,} changes/s") as update,
        empty_tenant(benchmark.settings, _TENANT),
    ):
        stats, entries, peaks = _run(benchmark, settings)
        update(f"{sum(reader.events for reader in stats):,} events")
    stalled = sum(each.longest > _MAX_WAIT or each.events != entries for each in stats)
    latencies = [latency for reader in stats for latency in reader.latencies]
    growth = peaks[1] - peaks[0]
    rows = (
        (
            f"{len(stats)}",
            f"{sum(reader.events for reader in stats):,}",
            f"{stalled}",
            f"{percentile(latencies, 0.5):.2f}",
            f"{percentile(latencies, 0.99):.2f}",
            f"{peaks[1]:.0f}",
            f"{growth:.1f}",
        ),
    )
    headings = (
        *("readers", "events", "stalled", "latency p50, s", "latency p99, s"),
        *("peak memory, MiB", "growth in the second half"),
    )
    targets = (
        Target("stalled readers", stalled, 0, most=True),
        Target("growth of memory in the second half, MiB", growth, _MAX_GROWTH, most=True),
    )
    return Section("readers", "Live events", _TEXT, headings=headings, rows=rows, targets=targets)


def _run(
    benchmark: BenchmarkRun, settings: Settings
) -> tuple[list[ReaderStats], int, tuple[float, float]]:
    with run_service(benchmark.runner, settings, "api") as pid:
        return asyncio.run(_read_and_write(settings, ProcessTree(pid)))


async def _read_and_write(
    settings: Settings, api: ProcessTree
) -> tuple[list[ReaderStats], int, tuple[float, float]]:
    stats = [ReaderStats() for _ in range(_READERS)]
    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(Redis.from_url(settings.redis))
        stalled = [await _connect(settings) for _ in range(_STALLED)]
        for one in stalled:
            stack.callback(one.close)
        connected = [asyncio.Event() for _ in stats]
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(_read(settings, one, event))
                for one, event in zip(stats, connected, strict=True)
            ]
            async with asyncio.timeout(_TIMEOUT):
                await asyncio.gather(*(event.wait() for event in connected))
            half = _ENTRIES_A_SECOND * _SECONDS // 2
            peaks = []
            for part in range(2):
                await _write(redis, settings, range(part * half, (part + 1) * half))
                api.sample()
                peaks.append(api.peak_mb)
            await _wait_until_caught_up(stats, 2 * half)
            for task in tasks:
                task.cancel()
    return stats, 2 * half, (peaks[0], peaks[1])


async def _wait_until_caught_up(stats: list[ReaderStats], entries: int) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(_TIMEOUT):
            while any(one.events < entries for one in stats):  # noqa: ASYNC110 - readers set no event
                await asyncio.sleep(0.05)


async def _write(redis: Redis, settings: Settings, numbers: range) -> None:
    """Write entries at a constant rate."""
    key, began = RedisKeys.of(settings).live(_ENTITY), time.monotonic()
    for turn, number in enumerate(numbers):
        windows = [
            [f"driver-{number}-{one}", _NOON, 7, "12345678", "2345678", "34567890", "early"]
            for one in range(_CHANGES // _ENTRIES_A_SECOND)
        ]
        await redis.xadd(key, {"w": json.dumps(windows)}, maxlen=_STREAM_LENGTH, approximate=True)
        due = began + (turn + 1) / _ENTRIES_A_SECOND
        await asyncio.sleep(max(0.0, due - time.monotonic()))


async def _connect(settings: Settings) -> socket.socket:
    """Request events, and read nothing."""
    loop = asyncio.get_running_loop()
    one = socket.socket()
    one.setblocking(False)
    deadline = time.monotonic() + _TIMEOUT
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


async def _read(settings: Settings, stats: ReaderStats, connected: asyncio.Event) -> None:
    """Read events until cancelled."""
    reader, writer = await asyncio.open_connection(settings.api_host, settings.api_port)
    try:
        writer.write(_request(settings))
        await reader.readuntil(b":\n\n")
        connected.set()
        stats.last = time.monotonic()
        while data := await reader.read(_READ_BYTES):
            events = data.count(b"event: windows")
            if events:
                start = data.rfind(b"id: 1")
                at = data[start + 4 : start + 17]
                stats.add(events, int(at) if start >= 0 and at.isdigit() else None)
    finally:
        writer.close()


def _request(settings: Settings) -> bytes:
    path = f"/live/{_ENTITY.name}"
    host = f"{settings.api_host}:{settings.api_port}"
    return f"GET {path} HTTP/1.1\r\nHost: {host}\r\nAccept: text/event-stream\r\n\r\n".encode()
