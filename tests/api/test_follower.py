"""Redis as a follower of Postgres: when it answers, and how it is shown that it is behind."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient
from msgspec.structs import replace
from redis import Redis

from api.errors import StoreUnavailableError
from api.queries import sequence_number_poller
from api.queries.contract import FollowerPosition, SequenceNumbers
from api.queries.sequence_number_poller import SequenceNumberPoller
from mobility.entities import BY_NAME, ENTITIES
from mobility.keys import RedisKeys
from mobility.settings import Settings
from tests.api.expected import client as client_of_stores
from tests.api.expected import fill_stores, get_json, random_windows, wait_for_redis
from tests.api.memory_store import MemoryReader, client, problem_of, totals
from tests.api.test_prometheus import scrape
from tests.api.test_status import NOW, flow_status, to_record
from tests.waiting import until_async

DRIVER = BY_NAME["driver"]
URL = "/metrics/driver/d1"
AWAY = StoreUnavailableError("postgres", "is away")
FOLLOWS_NONE = FollowerPosition(None, 0)


@contextmanager
def following(**of_redis: Any) -> Iterator[tuple[TestClient[Litestar], MemoryReader]]:  # noqa: ANN401
    """Yield a client of both stores, where Postgres is at number 7, and Postgres."""
    records = [to_record(flow_status())]
    known = {"d1": totals()}
    redis = MemoryReader("redis", known, watermark=NOW, records=records, **of_redis)
    postgres = MemoryReader("postgres", known, watermark=NOW, number=7)
    with client(redis, postgres) as http:
        yield http, postgres


@pytest.mark.parametrize(
    ("of_redis", "store"),
    [
        ({"number": 7}, "redis"),
        ({"number": 8}, "redis"),
        ({"number": 6}, "postgres"),
        ({"number": 7, "instance_id": "another"}, "postgres"),
        ({"number": 7, "instance_id": None}, "postgres"),
    ],
    ids=str,
)
def test_it_answers_if_it_is_not_behind(of_redis: dict[str, Any], store: str) -> None:
    """What it has too old, Postgres answers; while that is down, Redis does."""
    with following(**of_redis) as (http, postgres):
        assert get_json(http, URL)["store"] == store
        assert http.post("/batch/driver", json={"ids": ["d1"]}).json()["store"] == store
        assert postgres.queries == (0 if store == "redis" else 2)
        postgres.is_down = True
        assert get_json(http, URL)["store"] == "redis"
        assert http.post("/batch/driver", json={"ids": ["d1"]}).json()["store"] == "redis"


def test_the_authority_alone_says_that_there_is_nothing() -> None:
    """An id that Redis lacks is asked for in Postgres; while that is down the answer is 503."""
    with following(number=7) as (http, postgres):
        problem_of(http.get("/metrics/driver/nobody"), 404)
        postgres.is_down = True
        problem_of(http.get("/metrics/driver/nobody"), 503)


@pytest.mark.parametrize("path", [f"{URL}/windows", f"{URL}?from=2025-01-01", "/metrics/driver"])
def test_all_but_totals_is_the_authority_s(path: str) -> None:
    """A follower has no series and no lists; the problem names the store that is down."""
    with following(number=7) as (http, postgres):
        assert get_json(http, path)["store"] == "postgres"
        postgres.is_down = True
        assert "postgres" in problem_of(http.get(path), 503)["detail"]


def test_an_api_that_starts_while_the_authority_is_away() -> None:
    """No number is known, and Redis answers without a query of Postgres."""
    redis = MemoryReader("redis", {"d1": totals()}, number=1)
    postgres = MemoryReader("postgres", is_down=True)
    with client(redis, postgres) as http:
        assert get_json(http, URL)["store"] == "redis"
        assert postgres.queries == 0


def test_it_may_be_a_second_behind() -> None:
    """A follower must have the numbers of the question before the last one.

    Its lag is what it lacks for longer: of the numbers of the oldest answers that are kept.
    """

    async def run() -> None:
        answers = iter([3, 5, 9, None, 9])

        async def read() -> SequenceNumbers:
            number = next(answers)
            if number is None:
                raise AWAY
            return SequenceNumbers("first", {"driver": number})

        authority = SequenceNumberPoller(read)
        assert not authority.is_current(DRIVER, FollowerPosition("first", 3))
        needed = []
        for _ in range(5):
            await authority.ask()
            needed.append(
                next(
                    number
                    for number in range(10)
                    if authority.is_current(DRIVER, FollowerPosition("first", number))
                )
            )
        assert needed == [3, 3, 5, 5, 9]
        assert authority.lags({"driver": FollowerPosition("first", 2), "h3": FOLLOWS_NONE}) == {
            "driver": 1,
            "h3": None,
        }

    asyncio.run(run())


def test_an_unexpected_answer_does_not_end_the_questions(monkeypatch: pytest.MonkeyPatch) -> None:
    """A follower is current again once the authority has answered."""
    monkeypatch.setattr(sequence_number_poller, "POLL_SECONDS", 0.01)

    async def run() -> None:
        answers: Iterator[SequenceNumbers | None] = iter(
            [SequenceNumbers("first", {"driver": 1}), None]
        )

        async def read() -> SequenceNumbers:
            answer = next(answers, SequenceNumbers("first", {"driver": 9}))
            if answer is None:
                raise IndexError
            return answer

        authority = SequenceNumberPoller(read)
        authority.start()
        await until_async(
            lambda: authority.is_current(DRIVER, FollowerPosition("first", 9)), "the answer"
        )
        await until_async(
            lambda: not authority.is_current(DRIVER, FollowerPosition("first", 8)), "the answer"
        )
        await authority.close()

    asyncio.run(run())


def test_another_authority_is_noticed_at_once() -> None:
    """After Postgres was replaced, who follows the former one is not current."""

    async def run() -> None:
        answers = iter(
            [
                SequenceNumbers("first", {"driver": 9}),
                SequenceNumbers("first", {"driver": 9}),
                SequenceNumbers("second", {"driver": 2}),
            ]
        )

        async def read() -> SequenceNumbers:
            return next(answers)

        authority = SequenceNumberPoller(read)
        for _ in range(3):
            await authority.ask()
        assert not authority.is_current(DRIVER, FollowerPosition("first", 9))
        assert authority.is_current(DRIVER, FollowerPosition("second", 2))

    asyncio.run(run())


@pytest.mark.parametrize(
    ("of_redis", "lag", "text"),
    [
        ({"number": 5}, 2, "is behind Postgres by 2 transactions of driver"),
        ({"number": 7, "instance_id": None}, None, "does not follow this Postgres yet"),
    ],
    ids=str,
)
def test_a_follower_that_is_behind_is_a_warning(
    of_redis: dict[str, Any], lag: int | None, text: str
) -> None:
    """Status, health, readiness and metrics say so, and nothing fails."""
    with following(**of_redis) as (http, _):
        status = get_json(http, "/status")
        assert status["follower_lags"] == dict.fromkeys([each.name for each in ENTITIES], lag)
        [found] = status["problems"]
        assert (found["severity"], found["slug"]) == ("warning", "follower-behind")
        assert text in found["what"]
        for path, component in (("/health", "redis"), ("/health/ready", "stores")):
            shown = get_json(http, path)["components"][component]
            assert (shown["state"], text in shown["reason"]) == ("ok", True)
        metrics = scrape(http)
    labels = frozenset({("entity", "driver")})
    assert metrics["mobility_follower_follows", labels] == (lag is not None)
    assert metrics.get(("mobility_follower_lag_transactions", labels)) == lag


def test_an_old_watermark_of_a_follower_does_not_fail_readiness() -> None:
    """The watermark of the authority counts, where it answers."""
    redis = MemoryReader("redis", number=1)
    postgres = MemoryReader("postgres", number=7, watermark=NOW)
    with client(redis, postgres) as http:
        assert http.get("/health/ready").status_code == 200
        postgres.is_down = True
        assert http.get("/health/ready").status_code == 503


def test_a_follower_that_is_not_behind_is_no_problem() -> None:
    """Its lag is 0."""
    with following(number=7) as (http, _):
        status = get_json(http, "/status")
        assert get_json(http, "/health")["components"]["redis"] == {"state": "ok"}
    assert (status["problems"], set(status["follower_lags"].values())) == ([], {0})


@pytest.mark.services
def test_the_lowest_number_of_the_shards_counts(settings: Settings) -> None:
    """One shard that is behind, or of which nothing is known, makes Postgres answer."""
    rows = random_windows()
    fill_stores(settings, rows)
    keys = RedisKeys.of(settings)
    with (
        client_of_stores(settings) as http,
        Redis.from_url(settings.redis, decode_responses=True) as redis,
    ):
        wait_for_redis(http)
        [number] = set(redis.hvals(keys.sequence(DRIVER)))
        sequence = keys.sequence(DRIVER)
        for change in (
            ("HINCRBY", sequence, "1", -1),
            ("HDEL", sequence, "1"),
            ("HSET", keys.meta, "follows", "another"),
        ):
            redis.execute_command(*change)
            assert get_json(http, "/metrics/driver/a")["store"] == "postgres"
            redis.hset(sequence, "1", number)
        assert set(get_json(http, "/status")["follower_lags"].values()) == {None}


@pytest.mark.services
def test_a_hash_of_an_earlier_release_is_as_good_as_none(settings: Settings) -> None:
    """It lacks the newest window, and is not read where Redis follows."""
    fill_stores(settings, random_windows())
    no_postgres = replace(settings, postgres="postgresql://127.0.0.1:1/x")
    with Redis.from_url(settings.redis) as redis, client_of_stores(no_postgres) as http:
        assert get_json(http, "/metrics/driver/a")["store"] == "redis"
        redis.hdel(RedisKeys.of(settings).totals(DRIVER, "a"), "last_window_start")
        assert http.get("/metrics/driver/a").status_code == 503
