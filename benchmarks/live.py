"""Latency from sending a trip to its count in the API, with 2,000 trips per second."""

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

from benchmarks.benchmark_run import BenchmarkRun
from benchmarks.figures import percentile
from benchmarks.section import Section, Target
from benchmarks.service import messages_read, run_service, wait_until
from benchmarks.tenant import empty_tenant, tenant_settings
from benchmarks.timed_command import BenchmarkError
from benchmarks.trip_log import delete_topics
from benchmarks.workload import Workload, make_trips
from broker.producer import CheckedProducer
from broker.topic_setup import ensure_topics
from mobility.settings import Settings
from mobility.topics import topic_table, trips_topic
from stack.ports import find_free_port

_TENANT: Final = "bench_live"
_RATE: Final = 2_000
_SECONDS: Final = 60
_WARM_UP: Final = 10
_PROBE_INTERVAL: Final = 0.2
_REQUEST_INTERVAL: Final = 0.02
_TIMEOUT: Final = 60.0
_SEND_INTERVAL: Final = 0.01
_MAX_P50: Final = 1.5
_MAX_P99: Final = 3.0

_TEXT: Final = (
    f"{_RATE:,} trips per second, which start when they are sent. Five times a second one of them "
    "has a new driver, and the API is requested for that driver until it answers. The flow writes "
    "to Redis and Postgres."
)


def measure(benchmark: BenchmarkRun) -> Section:
    """Run the flow and the API, send trips, and request their drivers."""
    with TemporaryDirectory(prefix="mobility-bench-") as folder:
        settings = _settings(benchmark, Path(folder))
        _empty_topics(settings)
        with benchmark.runner.step(f"live: {_RATE:,} trips/s for {_SECONDS} s") as update:
            with empty_tenant(benchmark.settings, _TENANT):
                latencies = _measure_latencies(benchmark, settings, Path(folder))
            update(f"{len(latencies)} probes")
    p50, p99 = percentile(latencies, 0.5), percentile(latencies, 0.99)
    rows = ((f"{len(latencies)}", f"{p50:.2f}", f"{p99:.2f}", f"{max(latencies):.2f}"),)
    targets = (
        Target("latency to the API, median, s", p50, _MAX_P50, most=True),
        Target("latency to the API, 99th percentile, s", p99, _MAX_P99, most=True),
    )
    headings = ("probes", "p50, s", "p99, s", "longest, s")
    return Section("live", "Live", _TEXT, headings=headings, rows=rows, targets=targets)


def _settings(benchmark: BenchmarkRun, folder: Path) -> Settings:
    return msgspec.structs.replace(
        tenant_settings(benchmark.settings, _TENANT),
        topic_prefix=f"{_TENANT}.",
        stores=("redis", "postgres"),
        status_dir=str(folder / "status"),
        api_port=find_free_port(),
        api_rate=0,
    )


def _empty_topics(settings: Settings) -> None:
    table = topic_table(settings)
    delete_topics(settings, [topic.name for topic in table])
    ensure_topics(settings, table)


def _measure_latencies(benchmark: BenchmarkRun, settings: Settings, folder: Path) -> list[float]:
    flow = ("dataflows", "-r", str(folder / "recovery"))
    traffic = Traffic(settings)
    with (
        run_service(benchmark.runner, settings, *flow),
        run_service(benchmark.runner, settings, "api"),
    ):
        traffic.start()
        try:
            wait_until(
                lambda: messages_read(folder / "status") > 0, "the flow read a trip", _TIMEOUT
            )
            time.sleep(_WARM_UP)
            return asyncio.run(_send_probes(settings, traffic))
        finally:
            traffic.stop()


class Traffic:
    """Sends trips at a constant rate from its own thread, and single trips when called."""

    def __init__(self, settings: Settings) -> None:
        self._topic = trips_topic(settings)
        self._producer = CheckedProducer(settings, "benchmark-live")
        self._trips = make_trips(Workload(_RATE * 10)).drop("start_time").to_dicts()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._sent = 0
        self._lock = threading.Lock()

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread, and wait until everything is delivered."""
        self._stopping.set()
        self._thread.join()
        self._producer.flush()

    def send(self, driver: str | None = None) -> None:
        """Send one trip now, with this driver or that of the workload."""
        with self._lock:
            number, self._sent = self._sent, self._sent + 1
        trip = self._trips[number % len(self._trips)] | {
            "trip_id": str(number),
            "start_time": datetime.now(UTC).isoformat(timespec="milliseconds"),
        }
        if driver is not None:
            trip["driver_id"] = driver
        self._producer.send(self._topic, [trip["driver_id"]], [json.dumps(trip)])

    def _run(self) -> None:
        began, sent = time.monotonic(), 0
        while not self._stopping.wait(_SEND_INTERVAL):
            due = int((time.monotonic() - began) * _RATE)
            for _ in range(due - sent):
                self.send()
            sent = due
            self._producer.poll()


async def _send_probes(settings: Settings, traffic: Traffic) -> list[float]:
    """Send probes for some time; return the seconds until each was in the API."""
    base = f"http://{settings.api_host}:{settings.api_port}/metrics/driver"
    async with httpx.AsyncClient() as client, asyncio.TaskGroup() as group:
        tasks = []
        for number in range(round(_SECONDS / _PROBE_INTERVAL)):
            tasks.append(
                group.create_task(_measure_latency(client, base, f"probe-{number}", traffic))
            )
            await asyncio.sleep(_PROBE_INTERVAL)
    return [task.result() for task in tasks]


async def _measure_latency(
    client: httpx.AsyncClient, base: str, driver: str, traffic: Traffic
) -> float:
    traffic.send(driver)
    began = time.monotonic()
    while (await client.get(f"{base}/{driver}")).status_code != httpx.codes.OK:
        if time.monotonic() - began > _TIMEOUT:
            msg = f"the API did not know {driver} after {_TIMEOUT:.0f} s"
            raise BenchmarkError(msg)
        await asyncio.sleep(_REQUEST_INTERVAL)
    return time.monotonic() - began
