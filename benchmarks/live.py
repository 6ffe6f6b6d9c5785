"""How old a number is: from sending a trip to its count in the API, while 2,000 a second come."""

import asyncio
import json
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import httpx
import msgspec
from confluent_kafka import Producer

from audit.command_runner import find_free_port
from benchmarks.bench import Bench
from benchmarks.figures import percentile
from benchmarks.log import forget_topics
from benchmarks.running import BenchmarkError
from benchmarks.section import Section, Target
from benchmarks.service import messages_read, running, wait_until
from benchmarks.tenant import emptied, tenant
from benchmarks.workload import Load, trips
from broker.topic_setup import ensure_topics
from mobility.settings import Settings
from mobility.topics import PARTITIONER, topic_table, trips_topic

_TENANT: Final = "bench_live"
_RATE: Final = 2_000
_SECONDS: Final = 60
_WARM_UP: Final = 10
_PROBE_EVERY: Final = 0.2
_ASK_EVERY: Final = 0.02
_PATIENCE: Final = 60.0
_TICK: Final = 0.01
_MOST_P50: Final = 1.5
_MOST_P99: Final = 3.0

_TEXT: Final = (
    f"{_RATE:,} trips a second, stamped as they are sent. Five times a second one of them is of a "
    "driver that nobody has seen before, and the API is asked for that driver until it answers. "
    "Redis and Postgres are both fed."
)


def measure(bench: Bench) -> Section:
    """Run the flow and the API, send trips, and ask."""
    with TemporaryDirectory(prefix="mobility-bench-") as folder:
        settings = _settings(bench, Path(folder))
        _empty_topics(settings)
        with bench.commands.step(f"live: {_RATE:,} trips/s for {_SECONDS} s") as update:
            with emptied(bench.settings, _TENANT):
                ages = _ages(bench, settings, Path(folder))
            update(f"{len(ages)} probes")
    p50, p99 = percentile(ages, 0.5), percentile(ages, 0.99)
    rows = ((f"{len(ages)}", f"{p50:.2f}", f"{p99:.2f}", f"{max(ages):.2f}"),)
    targets = (
        Target("age of a number, median, s", p50, _MOST_P50, most=True),
        Target("age of a number, 99th percentile, s", p99, _MOST_P99, most=True),
    )
    headings = ("probes", "p50, s", "p99, s", "longest, s")
    return Section("live", "Live", _TEXT, headings=headings, rows=rows, targets=targets)


def _settings(bench: Bench, folder: Path) -> Settings:
    return msgspec.structs.replace(
        tenant(bench.settings, _TENANT),
        topic_prefix=f"{_TENANT}.",
        stores=("redis", "postgres"),
        status_dir=str(folder / "status"),
        api_port=find_free_port(),
        api_rate=0,
    )


def _empty_topics(settings: Settings) -> None:
    table = topic_table(settings)
    forget_topics(settings.kafka, [topic.name for topic in table])
    ensure_topics(settings, table)


def _ages(bench: Bench, settings: Settings, folder: Path) -> list[float]:
    flow = ("dataflows", "-r", str(folder / "recovery"))
    traffic = Traffic(settings)
    with (
        running(bench.commands, settings, *flow),
        running(bench.commands, settings, "api"),
    ):
        traffic.start()
        try:
            wait_until(
                lambda: messages_read(folder / "status") > 0, "the flow read a trip", _PATIENCE
            )
            time.sleep(_WARM_UP)
            return asyncio.run(_probe(settings, traffic))
        finally:
            traffic.stop()


class Traffic:
    """Sends trips at a steady rate from a thread of its own, and probes when asked to."""

    def __init__(self, settings: Settings) -> None:
        self._topic = trips_topic(settings)
        self._producer = Producer(
            {
                "bootstrap.servers": settings.kafka,
                "partitioner": PARTITIONER,
                "enable.idempotence": True,
                "linger.ms": 5,
            }
        )
        self._trips = trips(Load(_RATE * 10)).drop("start_time").to_dicts()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._sent = 0
        self._lock = threading.Lock()

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Send no more, and wait until the broker has everything."""
        self._stopping.set()
        self._thread.join()
        self._producer.flush(_PATIENCE)

    def send(self, driver: str | None = None) -> None:
        """Send one trip now, of this driver or of its own."""
        with self._lock:
            number, self._sent = self._sent, self._sent + 1
        trip = self._trips[number % len(self._trips)] | {
            "trip_id": str(number),
            "start_time": datetime.now(UTC).isoformat(timespec="milliseconds"),
        }
        if driver is not None:
            trip["driver_id"] = driver
        self._producer.produce(self._topic, json.dumps(trip), trip["driver_id"])

    def _run(self) -> None:
        began, sent = time.monotonic(), 0
        while not self._stopping.wait(_TICK):
            due = int((time.monotonic() - began) * _RATE)
            for _ in range(due - sent):
                self.send()
            sent = due
            self._producer.poll(0)


async def _probe(settings: Settings, traffic: Traffic) -> list[float]:
    """Send probes for a while; return the seconds that each took to be in the API."""
    base = f"http://{settings.api_host}:{settings.api_port}/metrics/driver"
    async with httpx.AsyncClient() as client, asyncio.TaskGroup() as group:
        tasks = []
        for number in range(round(_SECONDS / _PROBE_EVERY)):
            tasks.append(group.create_task(_age(client, base, f"probe-{number}", traffic)))
            await asyncio.sleep(_PROBE_EVERY)
    return [task.result() for task in tasks]


async def _age(client: httpx.AsyncClient, base: str, driver: str, traffic: Traffic) -> float:
    traffic.send(driver)
    began = time.monotonic()
    while (await client.get(f"{base}/{driver}")).status_code != httpx.codes.OK:
        if time.monotonic() - began > _PATIENCE:
            msg = f"the API did not know {driver} within {_PATIENCE:.0f} s"
            raise BenchmarkError(msg)
        await asyncio.sleep(_ASK_EVERY)
    return time.monotonic() - began
