"""Windows and totals of an earlier release, which lack what was added since."""

import json
from typing import Any

import psycopg
import pytest
import redis
from litestar import Litestar
from litestar.testing import TestClient
from psycopg import sql

from mobility.entities import BY_NAME
from mobility.keys import RedisKeys
from mobility.settings import Settings
from tests.api.expected import LENGTH, NOON, client, fill_stores, iso, with_stores
from tests.windows import window, window_frame

pytestmark = pytest.mark.services

COUNTS = ("distance_count", "revenue_count")
RANGE = f"from={iso(NOON - 3 * LENGTH)}&to={iso(NOON)}"
OF_AN_ID = ("/metrics/driver/a", f"/metrics/driver/a/windows?{RANGE}", "/metrics/driver")
OF_ALL = (
    f"/metrics/driver/a?{RANGE}",
    "/metrics/driver?sort=-revenue",
    f"/metrics/driver?{RANGE}",
    f"/metrics/driver?{RANGE}&format=ndjson",
    "/top/driver?by=revenue",
    f"/top/driver?{RANGE}&hours=0-23",
    "/summary/driver",
    f"/summary/driver?{RANGE}",
    f"/week/driver?{RANGE}",
    f"/compare/driver?id=a&other_id=b&{RANGE}",
    f"/windows/driver?{RANGE}&granularity=PT1H&format=ndjson",
)


def answers(http: TestClient[Litestar], urls: tuple[str, ...]) -> list[str]:
    """Return the bodies of responses."""
    found = [http.get(url) for url in urls]
    assert [each.status_code for each in found] == [200] * len(urls)
    return [each.text for each in found]


def fill(settings: Settings) -> None:
    """Write windows whose trips all have a distance and a price."""
    rows = [
        window(entity_id, NOON - at * LENGTH, trips, total_revenue=trips * 2_500_000)
        for entity_id in ("a", "b")
        for at, trips in ((3, 2), (2, 5))
    ]
    fill_stores(settings, window_frame(rows))


def test_all_trips_of_postgres_had_amounts(settings: Settings) -> None:
    """The columns are null there, and each answer is the same."""
    filled = with_stores(settings, "postgres")
    fill(filled)
    with client(filled) as http:
        before = answers(http, (*OF_AN_ID, *OF_ALL))
        with psycopg.connect(settings.postgres) as connection:
            for table in ("driver_ledger", "driver_totals"):
                update = sql.SQL("UPDATE {} SET distance_count = NULL, revenue_count = NULL")
                connection.execute(update.format(sql.Identifier(table)))
        assert answers(http, (*OF_AN_ID, *OF_ALL)) == before
    assert json.loads(before[0])["avg_revenue"] == 2.5


def test_all_trips_of_redis_had_amounts(settings: Settings) -> None:
    """The hash and the ledger lack the fields, and each answer is the same."""
    filled = with_stores(settings, "redis")
    fill(filled)
    keys, driver = RedisKeys.of(filled), BY_NAME["driver"]
    with client(filled) as http:
        before = answers(http, OF_AN_ID)
        with redis.Redis.from_url(filled.redis, decode_responses=True) as store:
            for name in ("a", "b"):
                assert store.hdel(keys.totals(driver, name), *COUNTS) == 2
                ledger = keys.ledger(driver, name)
                for start, text in store.hgetall(ledger).items():
                    values: dict[str, Any] = json.loads(text)
                    kept = {name: value for name, value in values.items() if name not in COUNTS}
                    assert len(values) - len(kept) == 2
                    store.hset(ledger, start, json.dumps(kept))
        assert answers(http, OF_AN_ID) == before
