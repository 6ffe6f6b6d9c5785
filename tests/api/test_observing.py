"""What Prometheus scrapes: bounded series, and the state of stores and flow."""

from datetime import timedelta

import pytest
from litestar import Litestar
from litestar.testing import TestClient
from prometheus_client.parser import text_string_to_metric_families

from api.app import app_over
from api.queries.store_readers import Readers
from mobility.settings import Settings
from tests.api.test_app import AS_OF, MemoryReader, totals
from tests.api.test_status import flow, told

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def client(*readers: MemoryReader, settings: Settings | None = None) -> TestClient[Litestar]:
    """Return a client of an application over these stores."""
    app = app_over(Readers(readers), settings or Settings())
    return TestClient(app, "http://127.0.0.1", raise_server_exceptions=False)


def scraped(http: TestClient[Litestar]) -> Samples:
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
    """Return the paths that requests were counted under."""
    return {dict(labels)["path"] for found, labels in samples if found == name}


def counted(samples: Samples, path: str, status: int) -> float:
    """Return how many requests were counted."""
    return sum(
        value
        for (name, labels), value in samples.items()
        if name == "mobility_api_requests_total"
        and {("path", path), ("status_code", str(status))} <= labels
    )


def test_an_id_is_no_series() -> None:
    """Requests are counted by the route's template, whatever stands in the path."""
    with client(MemoryReader("redis", {"driver-0": totals()})) as http:

        def ask(numbers: range) -> Samples:
            for entity_id in (f"driver-{number}" for number in numbers):
                http.get(f"/metrics/driver/{entity_id}")
                http.get(f"/live/driver/{entity_id}")
                http.get(f"/nowhere/{entity_id}")
            return scraped(http)

        ask(range(2))
        before = ask(range(2))
        after = ask(range(50))
    assert not [path for path in paths(after) if "driver-" in path]
    template = "/metrics/{entity_name}/{entity_id}"
    assert counted(after, template, 200) - counted(before, template, 200) == 1
    assert counted(after, template, 404) - counted(before, template, 404) == 49
    assert set(after) == set(before)


def test_refusals_are_counted_as_what_they_are() -> None:
    """Whoever is refused before a route is reached shows in the metrics too."""
    with client(MemoryReader("redis")) as http:
        before = counted(scraped(http), "/health/live", 429)
    with client(MemoryReader("redis"), settings=Settings(api_rate=1)) as http:
        refused = [http.get("/health/live").status_code for _ in range(100)].count(429)
    assert refused
    with client(MemoryReader("redis")) as http:
        assert counted(scraped(http), "/health/live", 429) - before == refused


def test_every_end_of_a_request_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the status it had: a name that is not ours, our own fault; and none stays in progress."""

    async def break_down(*_: object) -> None:
        msg = "a fault"
        raise RuntimeError(msg)

    template, ends = "/metrics/{entity_name}/{entity_id}", (421, 500)
    with client(MemoryReader("redis")) as http:
        before = scraped(http)
        http.get("/metrics/driver/d1", headers={"Host": "elsewhere.example"})
        monkeypatch.setattr(MemoryReader, "totals", break_down)
        http.get("/metrics/driver/d1")
        after = scraped(http)
    grown = [counted(after, template, end) - counted(before, template, end) for end in ends]
    assert grown == [1, 1]
    assert after["mobility_api_requests_in_progress", frozenset()] == 1, "the one that asks"


def test_stores_and_flow_are_seen() -> None:
    """What answers, how complete the numbers are, and how far the log is ahead."""
    redis = MemoryReader("redis", as_of=AS_OF, said=[told(flow())])
    postgres = MemoryReader("postgres", as_of=AS_OF - timedelta(minutes=1), down=True)
    with client(redis, postgres) as http:
        found = scraped(http)
    up = "mobility_store_up"
    assert found[up, frozenset({("store", "redis")})] == 1
    assert found[up, frozenset({("store", "postgres")})] == 0
    mark = "mobility_watermark_timestamp_seconds", frozenset({("entity", "h3")})
    assert found[mark] == AS_OF.timestamp()
    labels = {("process", "flow-0"), ("topic", "trips_stream"), ("partition", "0")}
    assert found["mobility_log_lag_messages", frozenset(labels)] == 4
    assert found["mobility_status_age_seconds", frozenset({("process", "flow-0")})] == 0.4
    assert found["mobility_store_failures_total", frozenset({("store", "postgres")})] >= 1


def test_it_answers_while_no_store_does() -> None:
    """A scrape is when it is wanted most."""
    with client(MemoryReader("redis", down=True)) as http:
        found = scraped(http)
    assert found["mobility_store_up", frozenset({("store", "redis")})] == 0
    assert not [name for name, _ in found if name == "mobility_watermark_timestamp_seconds"]
