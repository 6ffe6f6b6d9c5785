"""A running system: the flow and the API as processes, and trips for them."""

import contextlib
import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import httpx
import msgspec
import polars as pl
from confluent_kafka import Producer

from benchmarks.tenant import empty_tenant, tenant_settings
from benchmarks.trip_log import delete_topics
from broker.topic_setup import ensure_topics
from mobility.entities import BY_NAME
from mobility.settings import Settings, to_environ
from mobility.topics import topic_table, trips_topic
from stack.ports import find_free_port
from tests.waiting import until

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

HOSTILE_TRIPS: Final = 20
"""Trips of each of these ids, all within the last hour."""

_FLUSH_SECONDS: Final = 60.0
_STABLE_SECONDS: Final = 3.0
_DAY: Final = datetime(2025, 6, 2, 17, 10, tzinfo=UTC)
_HOURS: Final = timedelta(hours=3)
_EVERY: Final = 6


@dataclass(slots=True)
class System:
    """A running system: the URL of its API and pages, and the number of trips sent to it."""

    settings: Settings
    url: str
    trips: int = 0

    def get(self, path: str, **parameters: object) -> Any:  # noqa: ANN401 - any JSON
        """Return the response of the API as JSON."""
        query = {name: str(value) for name, value in parameters.items()}
        return httpx.get(self.url + path, params=query, timeout=10).raise_for_status().json()

    def produce(self, trips: Sequence[dict[str, object]]) -> None:
        """Write trips to the topic, in this order."""
        failures: list[object] = []
        # Without idempotence, a retried batch may follow a later one, which makes its trips late.
        producer = Producer(
            {
                "bootstrap.servers": self.settings.kafka,
                "partitioner": "murmur2_random",
                "enable.idempotence": True,
                "on_delivery": lambda error, _message: failures.append(error) if error else None,
            }
        )
        for trip in trips:
            value = json.dumps(trip, ensure_ascii=False).encode()
            producer.produce(trips_topic(self.settings), value, key=str(trip["trip_id"]))
            producer.poll(0)
        assert producer.flush(_FLUSH_SECONDS) == 0
        assert failures == []
        self.trips += len(trips)


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


def new_system(services: Settings, folder: Path) -> Iterator[System]:
    """Yield a system that has counted three hours of trips, the last of which is from now."""
    name = f"pages_{uuid.uuid4().hex[:8]}"
    settings = msgspec.structs.replace(
        tenant_settings(services, name),
        topic_prefix=f"{name}.",
        stores=("redis", "postgres"),
        partitions=3,
        shards=2,
        snapshot_interval=1,
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
                trips = [*_sample(), *_hostile()]
                system.produce(sorted(trips, key=lambda one: str(one["start_time"])))
                _wait_until_counted(system, flow, api)
                until(lambda: _is_stable(system), "all entities to be counted")
                yield system
        finally:
            delete_topics(settings, [topic.name for topic in topics])


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


def _wait_until_counted(system: System, *processes: subprocess.Popen[bytes]) -> None:
    """Wait until every trip is counted; on a timeout, add what the API returns to the error."""
    try:
        until(
            lambda: _check_running(*processes) and _counted(system) == system.trips,
            "all trips to be counted",
        )
    except AssertionError as error:
        paths = "/summary/vehicle_type", "/status"
        answers = [httpx.get(system.url + path).text for path in paths]
        error.add_note(f"{system.trips} trips were sent; the API returns {answers}")
        raise


def _check_running(*processes: subprocess.Popen[bytes]) -> bool:
    assert all(process.poll() is None for process in processes), "a process has ended"
    return True


def _counted(system: System) -> int:
    try:
        return int(system.get("/summary/vehicle_type")["trip_count"])
    except httpx.HTTPError:
        return 0


def _is_stable(system: System) -> bool:
    """Return whether all entities stay the same: until then pages change by themselves."""
    before = _progress(system)
    time.sleep(_STABLE_SECONDS)
    return all(before[0].values()) and _progress(system) == before


def _progress(system: System) -> tuple[Any, ...]:
    counts = [system.get(f"/summary/{name}")["trip_count"] for name in BY_NAME]
    return system.get("/status")["as_of"], counts
