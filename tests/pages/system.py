"""A running system: the flow and the API as processes, and trips for them."""

import contextlib
import json
import os
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import httpx
import msgspec
import polars as pl
from confluent_kafka import Producer

from benchmarks.benchmark_log import delete_topics
from benchmarks.tenant import empty_tenant, tenant_settings
from broker.topic_setup import ensure_topics
from mobility.entities import BY_NAME
from mobility.settings import Settings, to_environ
from mobility.topics import topic_table, trips_topic
from stack.ports import find_free_port
from tests.rejected import Rejected
from tests.waiting import DEADLINE, until

ROOT: Final = Path(__file__).parents[2]
HOSTILE: Final = (
    '<img src=x onerror="alert(1)">',
    "</script><script>alert(2)</script>",
    "{a|b} %s ${1} {{1}} \\u0000",
    '"><svg onload=alert(3)>',
    "javascript:alert(4)",
    "../../etc/passwd?x=1&y=2#z",
    "Ünïcode 🛴 مرحبا",
)
"""Ids that would run, or break the page, if a page interpreted them as markup or code."""

DEAD_LETTERS: Final[Sequence[Rejected]] = (
    *((b"d000001", text.encode(), "not_json") for text in HOSTILE),
    (b"d000002", b'{"trip_id": "t1", "start_time": "2025-06-02T17:10:00Z"}', "missing_field"),
    (b"\xff\0\x1b[31m", "🚴\u200d♀️ \u202e\x1b[31m\0".encode() + b"\xff", "not_json"),
    (None, None, "oversized"),
    (b"", b"", "not_json"),
    (b"k" * 400, b'{"note": "' + b"long " * 60_000 + b'"}', "oversized"),
    (b"d000003", b'{"price": -4}', "<img src=x onerror=alert(5)>; rm -rf ~"),
)
LATE_TRIPS: Final[Sequence[Rejected]] = (
    (b"t1", b'{"trip_id": "t1", "start_time": "2025-06-02T17:10:00Z"}', None),
)
"""Messages of `trips_dlq` and `trips_late`; the flow has not rejected them."""

HOSTILE_TRIPS: Final = 20
"""Trips of each of these ids, all within the last hour."""

_STABLE_SECONDS: Final = 1.0
_DAY: Final = datetime(2025, 6, 2, 17, 10, tzinfo=UTC)
_HOURS: Final = timedelta(hours=3)
_EVERY: Final = 6

_FIELDS: Final = {
    "driver": ("driver_id",),
    "passenger": ("passenger_id",),
    "vehicle_type": ("trip_id",),  # without a type it counts as unknown
    "h3": ("start_lat", "start_location_id"),
}
"""Fields of a trip for each entity: it counts for the entity if it has one of them."""


@dataclass(slots=True)
class System:
    """A running system: the URL of its API and pages, and the number of trips sent to it.

    `counts` are the trips of each entity, `stable_at` the trips with which it last was stable.
    """

    settings: Settings
    url: str
    processes: Sequence[subprocess.Popen[bytes]] = ()
    trips: int = 0
    stable_at: int = 0
    counts: Counter[str] = field(default_factory=Counter)

    def get(self, path: str, **parameters: object) -> Any:  # noqa: ANN401 - any JSON
        """Return the response of the API as JSON."""
        query = {name: str(value) for name, value in parameters.items()}
        found = httpx.get(self.url + path, params=query, timeout=DEADLINE)
        return found.raise_for_status().json()

    def wait_until_stable(self) -> None:
        """Wait until every trip is counted for every entity and no watermark changes any more.

        Watermarks change until the last partition is idle, and a short time after.
        """
        if self.stable_at == self.trips:
            return
        expected = {"counted": self.trips, "busy": 0, **self.counts}
        before = None
        while before is None or self._progress() != before:
            before = until(
                self._progress, f"{expected}", lambda seen: seen.items() >= expected.items()
            )
            time.sleep(_STABLE_SECONDS)
        self.stable_at = self.trips

    def _progress(self) -> dict[str, object]:
        """Return what `wait_until_stable` waits for, as the API shows it."""
        assert all(process.poll() is None for process in self.processes), "a process has ended"
        try:
            status = self.get("/status")
            counts = {name: self.get(f"/summary/{name}")["trip_count"] for name in BY_NAME}
        except httpx.HTTPError as error:
            return {"error": repr(error)}
        flows = status["processes"]
        partitions = [partition for process in flows for partition in process["partitions"]]
        return counts | {
            "counted": sum(process["counts"]["counted"] for process in flows),
            "busy": sum(partition["status"] != "idle" for partition in partitions),
            "as_of": status["as_of"],
        }

    def produce(self, trips: Sequence[dict[str, object]]) -> None:
        """Write trips to the topic, in this order."""
        failures: list[object] = []
        # Without idempotence, a retried batch may follow a later one, which makes its trips late.
        producer = Producer(
            {
                "bootstrap.servers": self.settings.kafka,
                "partitioner": "murmur2_random",
                "enable.idempotence": True,
                "max.in.flight.requests.per.connection": 1,
                "on_delivery": lambda error, _message: failures.append(error) if error else None,
            }
        )
        for trip in trips:
            value = json.dumps(trip, ensure_ascii=False).encode()
            producer.produce(trips_topic(self.settings), value, key=str(trip["trip_id"]))
            producer.poll(0)
        assert producer.flush(DEADLINE) == 0
        assert failures == []
        self.trips += len(trips)
        for name, fields in _FIELDS.items():
            self.counts[name] += sum(any(map(trip.get, fields)) for trip in trips)


def trip(**fields: object) -> dict[str, object]:
    """Return a trip that starts now, with these fields instead of the default ones."""
    return {
        "trip_id": uuid.uuid4().hex,
        "driver_id": "d000001",
        "passenger_id": "p000001",
        "vehicle_type": "car",
        "start_lat": 38.7102,
        "start_lng": -9.1401,
        "start_time": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "duration_min": 12.5,
        "distance_km": 4.2,
        "price": 8.4,
    } | fields


Trips = Callable[[], Sequence[dict[str, object]]]
"""Makes trips when the system has started: the last of them is from now."""


def new_system(services: Settings, folder: Path, make_trips: Trips) -> Iterator[System]:
    """Yield a system that has counted these trips."""
    name = f"pages_{uuid.uuid4().hex[:8]}"
    settings = msgspec.structs.replace(
        tenant_settings(services, name),
        topic_prefix=f"{name}.",
        stores=("redis", "postgres"),
        partitions=3,
        shards=2,
        snapshot_interval=1,
        idle_after=1,
        drivers=str(ROOT / "data" / "drivers.parquet"),
        locations=str(ROOT / "data" / "locations.parquet"),
        api_port=find_free_port(),
    )
    system = System(settings, f"http://127.0.0.1:{settings.api_port}")
    topics = topic_table(settings)
    with empty_tenant(services, name):
        try:
            ensure_topics(settings, topics)
            with (
                started(settings, "dataflows", "-r", str(folder / "recovery")) as flow,
                started(settings, "api") as api,
            ):
                system.processes = flow, api
                system.produce(sorted(make_trips(), key=lambda one: str(one["start_time"])))
                system.wait_until_stable()
                yield system
        finally:
            delete_topics(settings, [topic.name for topic in topics])


def city_trips() -> list[dict[str, object]]:
    """Return three hours of trips, with hostile ids among them."""
    return [*_sample(), *_hostile()]


def _sample() -> list[dict[str, object]]:
    """Return some trips of the sample data, shifted so that the last starts now."""
    rows = (
        pl.scan_parquet(ROOT / "data" / "trips.parquet")
        .filter(pl.col("start_time").is_between(_DAY - _HOURS, _DAY))
        .gather_every(_EVERY)
        .sort("start_time")
        .drop("end_time")
        .collect()
    )
    shift = datetime.now(UTC) - _DAY
    return [
        {name: value for name, value in row.items() if value is not None}
        | {"start_time": (row["start_time"] + shift).isoformat(timespec="milliseconds")}
        for row in rows.to_dicts()
    ]


def _hostile() -> list[dict[str, object]]:
    """Return trips with HOSTILE ids; without coordinates the location id is the region."""
    now = datetime.now(UTC)
    return [
        {
            **trip(driver_id=text, passenger_id=text, vehicle_type=text, start_location_id=text),
            "start_time": (now - timedelta(minutes=30 + minute)).isoformat(timespec="milliseconds"),
            "start_lat": None,
            "start_lng": None,
        }
        for text in HOSTILE
        for minute in range(HOSTILE_TRIPS)
    ]


@contextlib.contextmanager
def started(settings: Settings, *module: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a module as a process until the end of the block."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MOBILITY_")}
    with subprocess.Popen(
        [sys.executable, "-m", *module],
        cwd=ROOT,
        env=environment | to_environ(settings) | {"PYTHONPATH": str(ROOT)},
    ) as process:
        try:
            yield process
        finally:
            process.terminate()
