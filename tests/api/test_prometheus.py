"""Metrics for Prometheus: requests, stores, flow."""

from datetime import timedelta

import pytest
from litestar import Litestar
from litestar.testing import TestClient
from prometheus_client.parser import text_string_to_metric_families

from tests.api.memory_store import WATERMARK, MemoryReader, client, totals
from tests.api.test_status import flow_status, to_record

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def scrape(http: TestClient[Litestar]) -> Samples:
    """Return the samples by name and labels."""
    response = http.get("/prometheus")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/plain")
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
    }


def paths(samples: Samples, name: str = "mobility_api_requests_total") -> set[str]:
    """Return the paths among the labels of a metric."""
    return {dict(labels)["path"] for found, labels in samples if found == name}


def request_count(samples: Samples, path: str, status: int) -> float:
    """Return the number of requests with this path and status."""
    return sum(
        value
        for (name, labels), value in samples.items()
        if name == "mobility_api_requests_total"
        and {("path", path), ("status_code", str(status))} <= labels
    )


def test_ids_make_no_time_series() -> None:
    """Requests are counted by path template, whatever the id in the path is."""
    with client(MemoryReader("redis", {"driver-0": totals()})) as http:

        def send_requests(numbers: range) -> Samples:
            for entity_id in (f"driver-{number}" for number in numbers):
                http.get(f"/metrics/driver/{entity_id}")
                http.get(f"/live/driver/{entity_id}")
                http.get(f"/nowhere/{entity_id}")
            return scrape(http)

        send_requests(range(2))
        before = send_requests(range(2))
        after = send_requests(range(50))
    assert not [path for path in paths(after) if "driver-" in path]
    template = "/metrics/{entity_name}/{entity_id}"
    assert request_count(after, template, 200) - request_count(before, template, 200) == 1
    assert request_count(after, template, 404) - request_count(before, template, 404) == 49
    assert set(after) == set(before)


def test_rejected_requests_are_counted_by_status() -> None:
    """Requests that middleware rejects before the route are in the metrics too."""
    with client(MemoryReader("redis")) as http:
        before = request_count(scrape(http), "/health/live", 429)
    with client(MemoryReader("redis"), api_rate=1) as http:
        rejected = [http.get("/health/live").status_code for _ in range(100)].count(429)
    assert rejected
    with client(MemoryReader("redis")) as http:
        assert request_count(scrape(http), "/health/live", 429) - before == rejected


def test_errors_are_counted_by_status(monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests with a wrong host or an unexpected error are counted; none stays in progress."""

    async def fail(*_: object) -> None:
        msg = "a fault"
        raise RuntimeError(msg)

    template, ends = "/metrics/{entity_name}/{entity_id}", (421, 500)
    with client(MemoryReader("redis")) as http:
        before = scrape(http)
        http.get("/metrics/driver/d1", headers={"Host": "elsewhere.example"})
        monkeypatch.setattr(MemoryReader, "totals", fail)
        http.get("/metrics/driver/d1")
        after = scrape(http)
    grown = [
        request_count(after, template, end) - request_count(before, template, end) for end in ends
    ]
    assert grown == [1, 1]
    assert after["mobility_api_requests_in_progress", frozenset()] == 1, "the scrape itself"


def test_metrics_of_stores_and_flow() -> None:
    """Metrics show which stores answer, the watermarks, and the lag of the flow."""
    redis = MemoryReader("redis", watermark=WATERMARK, records=[to_record(flow_status())])
    postgres = MemoryReader("postgres", watermark=WATERMARK - timedelta(minutes=1), is_down=True)
    with client(redis, postgres) as http:
        found = scrape(http)
    up = "mobility_store_up"
    assert found[up, frozenset({("store", "redis")})] == 1
    assert found[up, frozenset({("store", "postgres")})] == 0
    mark = "mobility_watermark_timestamp_seconds", frozenset({("entity", "h3")})
    assert found[mark] == WATERMARK.timestamp()
    labels = {("process", "flow-0"), ("topic", "trips_stream"), ("partition", "0")}
    assert found["mobility_log_lag_messages", frozenset(labels)] == 4
    assert found["mobility_status_age_seconds", frozenset({("process", "flow-0")})] == 0.4
    assert found["mobility_store_failures_total", frozenset({("store", "postgres")})] >= 1


def test_scrapes_work_without_any_store() -> None:
    """The metrics then say that the store is down, and have no watermark."""
    with client(MemoryReader("redis", is_down=True)) as http:
        found = scrape(http)
    assert found["mobility_store_up", frozenset({("store", "redis")})] == 0
    assert not [name for name, _ in found if name == "mobility_watermark_timestamp_seconds"]
