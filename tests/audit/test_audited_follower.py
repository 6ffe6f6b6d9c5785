"""Redis as a follower, compared with Postgres while both are written to."""

from collections.abc import Sequence
from pathlib import Path

import msgspec
import polars as pl
import psycopg
import pytest
import redis

from audit import audited_follower, follower_lag
from audit.audited_follower import AuditedFollower, FollowerComparison
from audit.audited_stores import FingerprintError
from audit.follower_lag import lagging_entities
from audit.redis_totals import read_totals
from mobility.entities import BY_NAME, Entity
from mobility.keys import RedisKeys
from mobility.settings import Settings
from sinks.postgres import connect_postgres
from tests.follower import fill_follower
from tests.redis_servers import running_cluster
from tests.sinks.following import followed_store, until_followed
from tests.strategies import MINUTE, NOON
from tests.waiting import DEADLINE
from tests.windows import window, window_frame

pytestmark = pytest.mark.services

DRIVER = BY_NAME["driver"]
SCHEMA = {"entity": pl.String, "id": pl.String}
IDS = [f"d{number}" for number in range(5)]
RAISE = "UPDATE driver_totals SET trip_count = trip_count + 1 WHERE id = 'd1'"


@pytest.fixture
def filled(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Return settings of two filled stores."""
    set_wait(monkeypatch, DEADLINE)
    sink = connect_postgres(settings, "main")
    rows = [window(name, NOON + n * 5 * MINUTE, n + 1) for name in IDS for n in range(3)]
    sink.apply(DRIVER, window_frame(rows))
    for shard in range(settings.shards):
        sink.record_progress(DRIVER, shard, settings.shards, NOON)
    sink.close()
    fill_follower(settings)
    return settings


def set_wait(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Set how long a follower that is behind is waited for."""
    for module in (audited_follower, follower_lag):
        monkeypatch.setattr(module, "WAIT_SECONDS", seconds)


def compare(settings: Settings, ids: Sequence[str] | None = None) -> FollowerComparison:
    """Compare these ids, by default all."""
    expected = pl.DataFrame({"entity": "driver", "id": ids or []}, schema_overrides=SCHEMA)
    return AuditedFollower(settings).compare(expected, [DRIVER], all_ids=ids is None)


def numbers(found: FollowerComparison) -> tuple[int, int, int]:
    """Return the numbers of compared ids, of differences and of ids that were not compared."""
    return found.totals.expected, found.totals.differences, found.behind


def test_what_redis_lacks_is_no_difference(filled: Settings) -> None:
    """Of the others each is compared, and an id that Postgres lacks is found among all."""
    assert numbers(compare(filled)) == (5, 0, 0)
    assert numbers(compare(filled, IDS[:2])) == (2, 0, 0)
    keys = RedisKeys.of(filled)
    with redis.Redis.from_url(filled.redis) as client:
        client.delete(keys.totals(DRIVER, "d0"))
        assert numbers(compare(filled)) == (4, 0, 0)
        client.hset(keys.totals(DRIVER, "ghost"), "trip_count", "1")
        assert compare(filled).totals.counts["extra"] == 1
        assert compare(filled, ["ghost", "d1"]).totals.counts["extra"] == 1
        client.hset(keys.totals(DRIVER, "d1"), "last_window_start", "2025-01-01T12:05:00Z")
        assert compare(filled, ["d1"]).totals.counts["different"] == 1


def test_a_follower_that_is_behind_is_not_compared(
    filled: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is waited for, and then its ids are counted as behind."""
    set_wait(monkeypatch, 1)
    with psycopg.connect(filled.postgres, autocommit=True) as connection:
        connection.execute(RAISE)
        assert numbers(compare(filled)) == (5, 1, 0)
        connection.execute("UPDATE sequence_numbers SET number = number + 1")
    assert numbers(compare(filled)) == (0, 0, 5)
    assert lagging_entities(filled) == ("driver",)
    fill_follower(filled)
    assert numbers(compare(filled)) == (5, 0, 0)
    assert lagging_entities(filled) == ()
    keys = RedisKeys.of(filled)
    with redis.Redis.from_url(filled.redis) as client:
        client.hset(keys.meta, "follows", "another")
        assert numbers(compare(filled)) == (0, 0, 5)
        client.hset(keys.meta, "fingerprint", "another")
    with pytest.raises(FingerprintError):
        compare(filled)


def test_an_id_that_changes_meanwhile_is_read_again(
    filled: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Postgres is read before and after Redis: what has changed may be in Redis or not."""
    changes = iter([RAISE, RAISE])

    def read_during_a_change(
        client: redis.Redis, keys: RedisKeys, entity: Entity, ids: Sequence[str]
    ) -> pl.DataFrame:
        found = read_totals(client, keys, entity, ids)
        if change := next(changes, None):
            with psycopg.connect(filled.postgres, autocommit=True) as connection:
                connection.execute(change)
            fill_follower(filled)
        return found

    monkeypatch.setattr(audited_follower, "read_totals", read_during_a_change)
    assert numbers(compare(filled)) == (5, 0, 0)
    assert next(changes, None) is None


def test_a_cluster(settings: Settings, tmp_path: Path) -> None:
    """Ids are read from all masters, and so is how far they are."""
    with running_cluster(tmp_path / "nodes") as cluster:
        both = msgspec.structs.replace(settings, redis=cluster.url, shards=2)
        with followed_store(both, DRIVER) as store:
            store.apply(DRIVER, window_frame([window(name, NOON, 1) for name in IDS]))
            for shard in range(2):
                store.record_progress(DRIVER, shard, 2, NOON)
            until_followed(store, both, DRIVER)
        assert numbers(compare(both)) == (5, 0, 0)
        with cluster.client() as client:
            client.hset(RedisKeys.of(both).totals(DRIVER, "d1"), "trip_count", 9)
        assert numbers(compare(both)) == (5, 1, 0)
        assert lagging_entities(both) == ()
