"""`/rejected` on a real broker, and with one that is away, slow or refuses."""

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from confluent_kafka import Producer
from litestar import Litestar
from litestar.testing import TestClient

from api.access.tokens import create_token
from api.app import build_app
from api.errors import KafkaUnavailableError
from api.queries.rejected_pages import Offsets, RejectedRead
from api.queries.rejected_topics import RejectedTopics
from api.queries.store_readers import StoreReaders
from broker.errors import AccessError, BrokerError
from corrections.options import parse_options
from mobility.rejected_messages import DEAD, RejectedKind
from mobility.settings import Settings
from tests.api.memory_store import MemoryReader, problem_of
from tests.chaos.tcp_proxy import TcpProxy
from tests.dataflows.conftest import Hub, hub
from tests.rejected import Rejected, reject
from tests.waiting import DEADLINE

__all__ = ["hub"]

DEAD_LETTERS = "/rejected/dead-letters"
LATE_TRIPS = "/rejected/late-trips"

ODD = {
    "NUL": (b"a\0b", r"a\x00b"),
    "no UTF-8": (b'{"id": "\xff\xfe"}', r'{"id": "\xff\xfe"}'),
    "markup": (b"<script>alert(1)</script>", "<script>alert(1)</script>"),
    "joined": ("🚴\u200d♀️ \u202e".encode(), "🚴\\u200d♀️ \\u202e"),
    "escapes": (rb"\x00 \\", r"\\x00 \\\\"),
    "nothing": (b"", ""),
}
"""Values, and how they are shown."""


def app_of(settings: Settings, rejected: RejectedTopics | None = None) -> TestClient[Litestar]:
    """Return a client of the application, over a store in memory."""
    topics = RejectedTopics(settings) if rejected is None else rejected
    readers = StoreReaders(MemoryReader("redis"))
    return TestClient(build_app(readers, settings, rejected=topics), "http://127.0.0.1")


@pytest.fixture
def topics(hub: Hub) -> Hub:
    """Return a tenant with all topics."""
    hub.make_topics()
    return hub


@pytest.fixture
def http(topics: Hub) -> Iterator[TestClient[Litestar]]:
    """Return a client of the API of that tenant."""
    with app_of(topics.settings) as client:
        yield client


def all_pages(http: TestClient[Litestar], path: str, **parameters: object) -> list[dict[str, Any]]:
    """Return the items of all pages."""
    items: list[dict[str, Any]] = []
    cursor: str | None = None
    while True:
        given = parameters | ({} if cursor is None else {"cursor": cursor})
        page = (
            http.get(path, params={k: str(v) for k, v in given.items()}).raise_for_status().json()
        )
        items += page["items"]
        cursor = page["next"]
        if cursor is None:
            return items


@pytest.mark.services
def test_a_dead_letter_has_everything(topics: Hub, http: TestClient[Litestar]) -> None:
    """Where it comes from, why it is none, when it was appended, and its bytes."""
    before = time.time()
    reject(
        topics.settings, [(b"k\xff", b"x" * 2_000_000, "oversized"), (None, None, "missing_field")]
    )
    body = http.get(DEAD_LETTERS).raise_for_status().json()
    missing, oversized = body.pop("items")
    name = topics.settings.topic_prefix
    assert body.pop("commands")
    assert body == {
        "topic": f"{name}trips_dlq",
        "exists": True,
        "reasons": {"missing_field": 1, "oversized": 1},
        "read": 2,
        "complete": True,
        "next": None,
    }
    assert datetime.fromisoformat(oversized.pop("time")).timestamp() == pytest.approx(
        before, abs=60
    )
    assert oversized == {
        "topic": f"{name}trips_stream",
        "partition": 0,
        "offset": 0,
        "reason": "oversized",
        "detail": "why 0",
        "key": r"k\xff",
        "key_size": 2,
        "key_shown": 2,
        "value": "x" * 1_024,
        "value_size": 2_000_000,
        "value_shown": 1_024,
        "replayed": None,
        "command": "just dlq show 0:0",
    }
    assert (missing["key"], missing["value"], missing["value_size"]) == (None, None, 0)


@pytest.mark.services
@pytest.mark.parametrize("name", ODD)
def test_odd_bytes_are_escaped(topics: Hub, http: TestClient[Litestar], name: str) -> None:
    """In the key and in the value; what is no text never is a raw byte of the answer."""
    data, shown = ODD[name]
    reject(topics.settings, [(data, data, "not_json")])
    found = http.get(DEAD_LETTERS)
    (item,) = found.json()["items"]
    assert (item["key"], item["value"]) == (shown, shown)
    assert (item["key_size"], item["value_size"]) == (len(data), len(data))
    assert b"\0" not in found.content
    found.content.decode()


@pytest.mark.services
def test_late_trips(topics: Hub, http: TestClient[Litestar]) -> None:
    """They have no reason, and can't be asked for one."""
    reject(topics.settings, [(b"k", b"{}", None)] * 3, topic="trips_late", partition=1)
    body = http.get(LATE_TRIPS).raise_for_status().json()
    assert [item["offset"] for item in body["items"]] == [2, 1, 0]
    assert (body["reasons"], body["items"][0]["reason"]) == ({}, None)
    assert body["items"][0]["command"] == "just late show 1:2"
    assert "reason: unknown" in problem_of(http.get(f"{LATE_TRIPS}?reason=x"), 400)["detail"]


@pytest.mark.services
def test_a_hundred_thousand_dead_letters(topics: Hub, http: TestClient[Litestar]) -> None:
    """The newest come at once, with counts of some; pages lead to every one of a reason."""
    count, rare = 33_400, {17, 9_000, 33_000}
    for partition in range(3):
        letters: list[Rejected] = [
            (b"k", b'{"a": 1}', "negative" if n in rare else "not_json") for n in range(count)
        ]
        reject(topics.settings, letters, partition=partition)
    body = http.get(DEAD_LETTERS).raise_for_status().json()
    assert len(body["items"]) == 50
    assert not body["complete"]
    assert 1_000 <= body["read"] == sum(body["reasons"].values()) <= 5_000
    times = [item["time"] for item in body["items"]]
    assert times == sorted(times, reverse=True)
    found = all_pages(http, DEAD_LETTERS, reason="negative", limit=2)
    assert sorted((item["partition"], item["offset"]) for item in found) == [
        (partition, offset) for partition in range(3) for offset in sorted(rare)
    ]


@pytest.mark.services
def test_aborted_transactions_at_the_end(topics: Hub, http: TestClient[Litestar]) -> None:
    """They are no dead letters, and hide none."""
    reject(topics.settings, [(b"k", b"{}", "negative")])
    name = f"{topics.settings.topic_prefix}trips_dlq"
    producer = Producer({"bootstrap.servers": topics.settings.kafka, "transactional.id": name})
    producer.init_transactions()
    for _ in range(100):
        producer.begin_transaction()
        producer.produce(name, "aborted", partition=0)
        producer.flush(30)
        producer.abort_transaction()
    body = http.get(DEAD_LETTERS).raise_for_status().json()
    assert [item["reason"] for item in body["items"]] == ["negative"]
    assert body["read"] == 1


@pytest.mark.services
def test_an_empty_topic_and_none(hub: Hub) -> None:
    """Both are empty answers, which say which of the two it is."""
    with app_of(hub.settings) as http:
        missing = http.get(DEAD_LETTERS).raise_for_status().json()
    hub.make_topics()
    with app_of(hub.settings) as http:
        empty = http.get(DEAD_LETTERS).raise_for_status().json()
    assert (missing["exists"], empty["exists"]) == (False, True)
    for body in (missing, empty):
        assert (body["items"], body["next"], body["complete"], body["commands"]) == (
            *([], None, True),
            [],
        )


@pytest.mark.services
def test_it_is_conditional_and_knows_its_parameters(
    topics: Hub, http: TestClient[Litestar]
) -> None:
    """As other answers are."""
    reject(topics.settings, [(b"k", b"{}", "negative")])
    found = http.get(DEAD_LETTERS)
    tag = found.headers["etag"]
    assert found.headers["cache-control"] == "no-cache"
    assert http.get(DEAD_LETTERS, headers={"if-none-match": tag}).status_code == 304
    head = http.head(DEAD_LETTERS)
    assert (head.status_code, head.content, head.headers["etag"]) == (200, b"", tag)
    for query in ("form=x", "limit=0", "limit=201", "limit=x", "cursor=x", "limit=1&limit=2"):
        wrong = problem_of(http.get(f"{DEAD_LETTERS}?{query}"), 400)
        assert wrong["detail"].startswith(query.partition("=")[0])


@pytest.mark.services
def test_the_commands_are_those_of_the_command_line(
    topics: Hub, http: TestClient[Litestar]
) -> None:
    """Each of them is taken as it is printed; the recipe `just` is that of the module."""
    reject(topics.settings, [(b"k", b"{}", "negative")])
    reject(topics.settings, [(b"k", b"{}", None)], topic="trips_late")
    lines = []
    for path in (DEAD_LETTERS, f"{DEAD_LETTERS}?reason=negative", LATE_TRIPS):
        body = http.get(path).raise_for_status().json()
        lines += [each["command"] for each in body["commands"]]
        lines += [item["command"] for item in body["items"]]
    for line in lines:
        just, *words = line.partition(" > ")[0].split()
        assert just == "just"
        assert parse_options(words).kind.command == words[0]
    assert len(lines) == 10


@pytest.mark.services
def test_a_broker_that_stops_to_answer_delays_nothing_else(topics: Hub) -> None:
    """The request itself is a 503 with a reason; others are answered meanwhile."""
    reject(topics.settings, [(b"k", b"{}", "negative")])
    host, _, port = topics.settings.kafka.rpartition(":")
    assert host
    with TcpProxy(int(port)) as proxy:
        proxy.pause()
        away = msgspec.structs.replace(topics.settings, kafka=f"127.0.0.1:{proxy.port}")
        with app_of(away) as http:
            answers: list[httpx.Response] = []
            thread = threading.Thread(target=lambda: answers.append(http.get(DEAD_LETTERS)))
            thread.start()
            for _ in range(20):
                assert http.get("/health").status_code == 200
            assert not answers
            thread.join()
            body = problem_of(answers[0], 503)
    assert body["type"] == "/problems/kafka-unavailable"
    assert "MOBILITY_KAFKA" in body["detail"]
    assert answers[0].headers["retry-after"] == "1"


class Reads:
    """Reads that are counted, and end when they are let go."""

    def __init__(self, error: Exception | None = None) -> None:
        self.count = 0
        self.go = threading.Event()
        self.error = error

    def read(self, _kind: RejectedKind, _before: Offsets | None) -> RejectedRead | None:
        """Return an empty read, or raise the error."""
        self.count += 1
        assert self.go.wait(DEADLINE)
        if self.error is not None:
            raise self.error
        return RejectedRead({0: []}, {0: 0}, {0: 0})


@pytest.mark.parametrize("error", [BrokerError("away"), AccessError("allow Read on Topic x")])
def test_kafka_says_no(error: Exception) -> None:
    """It is a 503 with the words of the error, in which it says what to do."""
    reads = Reads(error)
    reads.go.set()
    with app_of(Settings(), RejectedTopics(Settings(), reads.read)) as http:
        body = problem_of(http.get(DEAD_LETTERS), 503)
        assert http.get("/health").status_code == 200
    assert body["type"] == "/problems/kafka-unavailable"
    assert body["detail"] == str(error)


def test_requests_share_a_read() -> None:
    """Those at the same time and within a second; older pages are read for each request."""
    reads = Reads()

    async def request() -> None:
        topics = RejectedTopics(Settings(), reads.read)
        first = [asyncio.create_task(topics.newest(DEAD, None)) for _ in range(50)]
        await asyncio.sleep(0)
        first.pop().cancel()
        reads.go.set()
        assert len({id(found) for found in await asyncio.gather(*first)}) == 1
        await topics.newest(DEAD, None)
        assert reads.count == 1
        for _ in range(2):
            await topics.newest(DEAD, {0: 7})
            await asyncio.sleep(0.05)
        assert reads.count == 3

    asyncio.run(request())


def test_a_read_that_hangs_is_waited_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests that come later get the failure at once, and the read is not begun again."""
    monkeypatch.setattr("api.queries.rejected_topics.WAIT_SECONDS", 0.1)
    reads = Reads()

    async def request() -> None:
        topics = RejectedTopics(Settings(), reads.read)
        for _ in range(3):
            with pytest.raises(KafkaUnavailableError, match="has not answered"):
                await topics.newest(DEAD, None)
        assert reads.count == 1
        topics.close()

    asyncio.run(request())
    reads.go.set()


def test_a_token_needs_every_entity(tmp_path: Path) -> None:
    """The bytes of a message name people, vehicles and places alike."""
    made = {name: create_token(name, name) for name in ("all", "driver")}
    (tmp_path / "tokens").write_text("\n".join(line for _, line in made.values()))
    settings = Settings(api_tokens=str(tmp_path / "tokens"))
    reads = Reads()
    reads.go.set()
    with app_of(settings, RejectedTopics(settings, reads.read)) as http:
        for path in (DEAD_LETTERS, LATE_TRIPS):
            assert problem_of(http.get(path), 401)["type"] == "/problems/token-needed"
            bearer = {"Authorization": f"Bearer {made['driver'][0]}"}
            refused = problem_of(http.get(path, headers=bearer), 403)
            assert refused["type"] == "/problems/out-of-scope"
            bearer = {"Authorization": f"Bearer {made['all'][0]}"}
            assert http.get(path, headers=bearer).status_code == 200


def test_without_kafka() -> None:
    """With MOBILITY_API_KAFKA=false the paths exist, and say so."""
    readers = StoreReaders(MemoryReader("redis"))
    app = build_app(readers, Settings(api_kafka=False))
    with TestClient(app, "http://127.0.0.1") as http:
        assert problem_of(http.get(LATE_TRIPS), 404)["type"] == "/problems/needs-kafka"


def test_the_document_has_the_routes() -> None:
    """With the problems that they answer with."""
    with app_of(Settings()) as http:
        paths = json.loads(http.get("/schema/openapi.json").content)["paths"]
    for path in (DEAD_LETTERS, LATE_TRIPS):
        responses = paths[path]["get"]["responses"]
        assert {"200", "304", "400", "401", "403", "503"} <= set(responses)
        assert "Kafka" in responses["503"]["description"]
