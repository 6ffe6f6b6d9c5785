"""The stream of changes that the fast store keeps beside its hashes."""

import json
from typing import Any

import msgspec
import pytest
import redis

from mobility.entities import BY_NAME
from mobility.keys import RedisKeys
from mobility.settings import Settings
from sinks import redis as fast
from sinks.redis import connect_redis
from sinks.store_pair import connect_stores

pytestmark = pytest.mark.services

DRIVER = BY_NAME["driver"]
Build = Any


def told(client: redis.Redis, settings: Settings) -> list[list[list[Any]]]:
    """Return the windows of each entry."""
    entries: Any = client.xrange(RedisKeys.of(settings).live(DRIVER))
    assert [list(fields) for _, fields in entries] == [["w"]] * len(entries)
    return [json.loads(fields["w"]) for _, fields in entries]


def test_a_call_is_an_entry(
    alone: Settings, client: redis.Redis, window: Build, frame: Build
) -> None:
    """Each window that was applied is told of once, with its totals in millionths as text."""
    store = connect_redis(alone, "main")
    first = window(trip_count=3, total_revenue=-(2**62), pane="on_time")
    store.apply(DRIVER, frame(first, window('d"\\\n,é\x01]', at=1)))
    start = first["window_start"]
    assert told(client, alone) == [
        [
            ["d1", start, 3, "12500000", "3250000", str(-(2**62)), "on_time"],
            ['d"\\\n,é\x01]', start + 300_000, 1, "12500000", "3250000", "9990000", "early"],
        ]
    ]
    store.close()


def test_what_changed_nothing_is_not_told(
    alone: Settings, client: redis.Redis, window: Build, frame: Build
) -> None:
    """Repeats, lower versions and refused windows are no news, whatever stands beside them."""
    store = connect_redis(alone, "main")
    rows = [window(f"d{n}", at=9_999, trip_count=5) for n in range(5)]
    store.apply(DRIVER, frame(*rows))
    store.apply(DRIVER, frame(*rows))
    store.apply(
        DRIVER,
        frame(
            rows[0],
            window("d1", at=0),
            rows[1] | {"trip_count": 6},
            rows[2] | {"trip_count": 4},
            window("d3", at=9_998),
            rows[4] | {"generation": 1, "trip_count": 1},
        ),
    )
    _, news = told(client, alone)
    assert [(entity_id, count) for entity_id, _, count, *_ in news] == [
        ("d1", 6),
        ("d3", 1),
        ("d4", 1),
    ]
    store.close()


def test_ids_that_come_from_postgres_are_told(
    settings: Settings, client: redis.Redis, window: Build, frame: Build
) -> None:
    """A new id is filled from Postgres, its window with it, and is news all the same, once."""
    both = msgspec.structs.replace(settings, stores=("redis", "postgres"))
    store = connect_stores(both, "main")
    store.apply(DRIVER, frame(window("a"), window("b")))
    store.apply(DRIVER, frame(window("a"), window("b", at=1), window("c")))
    starts = [[(each[0], each[1]) for each in entry] for entry in told(client, both)]
    early, later = window()["window_start"], window(at=1)["window_start"]
    assert starts == [[("a", early), ("b", early)], [("b", later)], [("c", early)]]
    store.close()


def test_the_stream_forgets(
    alone: Settings,
    client: redis.Redis,
    window: Build,
    frame: Build,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It keeps its last entries, in blocks, and their ids only grow."""
    monkeypatch.setattr(fast, "LIVE_ENTRIES", 10)
    store = connect_redis(alone, "main")
    for count in range(1, 400):
        store.apply(DRIVER, frame(window(trip_count=count)))
    entries: Any = client.xrange(RedisKeys.of(alone).live(DRIVER))
    assert 10 <= len(entries) < 200
    assert json.loads(entries[-1][1]["w"])[0][2] == 399
    places = [tuple(map(int, place.split("-"))) for place, _ in entries]
    assert places == sorted(set(places))
    store.close()
