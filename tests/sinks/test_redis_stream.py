"""The change stream that Redis keeps beside its hashes."""

import json
from typing import Any

import msgspec
import pytest
import redis

from mobility.entities import BY_NAME
from mobility.keys import RedisKeys
from mobility.settings import Settings
from sinks import live_changes
from sinks.redis import connect_redis
from tests.sinks.following import followed_store, until_followed

pytestmark = pytest.mark.services

DRIVER = BY_NAME["driver"]
Build = Any


def stream_entries(client: redis.Redis, settings: Settings) -> list[list[list[Any]]]:
    """Return the windows of each entry of the change stream."""
    entries: Any = client.xrange(RedisKeys.of(settings).live(DRIVER))
    assert [list(fields) for _, fields in entries] == [["w"]] * len(entries)
    return [json.loads(fields["w"]) for _, fields in entries]


def test_a_transaction_appends_one_entry(
    redis_only: Settings, client: redis.Redis, window: Build, frame: Build
) -> None:
    """It has each applied window once, with its totals in millionths as text."""
    store = connect_redis(redis_only, "main")
    first = window(trip_count=3, total_revenue=-(2**62), pane="on_time")
    store.apply(DRIVER, frame(first, window('d"\\\n,é\x01]', at=1)))
    start = first["window_start"]
    assert stream_entries(client, redis_only) == [
        [
            ["d1", start, 3, "12500000", "3250000", str(-(2**62)), "on_time"],
            ['d"\\\n,é\x01]', start + 300_000, 1, "12500000", "3250000", "9990000", "early"],
        ]
    ]
    store.close()


def test_unchanged_windows_are_not_in_the_stream(
    redis_only: Settings, client: redis.Redis, window: Build, frame: Build
) -> None:
    """Repeats, lower versions and refused windows are left out, whatever else the batch has."""
    store = connect_redis(redis_only, "main")
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
    _, changes = stream_entries(client, redis_only)
    assert [(entity_id, count) for entity_id, _, count, *_ in changes] == [
        ("d1", 6),
        ("d3", 1),
        ("d4", 1),
    ]
    store.close()


def test_a_follower_has_the_changes_of_postgres(
    settings: Settings, client: redis.Redis, window: Build, frame: Build
) -> None:
    """Each replaced window once, also those of new ids."""
    both = msgspec.structs.replace(settings, stores=("redis", "postgres"))
    with followed_store(both, DRIVER) as store:
        until_followed(store, both, DRIVER)
        for rows in ([window("a"), window("b")], [window("a"), window("b", at=1), window("c")]):
            store.apply(DRIVER, frame(*rows))
            until_followed(store, both, DRIVER)
    found = [sorted((each[0], each[1]) for each in one) for one in stream_entries(client, both)]
    early, later = window()["window_start"], window(at=1)["window_start"]
    assert found == [[("a", early), ("b", early)], [("b", later), ("c", early)]]


def test_ids_that_are_read_are_a_gap(
    settings: Settings, client: redis.Redis, window: Build, frame: Build
) -> None:
    """Which of their windows have changed is not known."""
    both = msgspec.structs.replace(settings, stores=("redis", "postgres"))
    with followed_store(both, DRIVER) as store:
        store.apply(DRIVER, frame(window("a"), window("b")))
        until_followed(store, both, DRIVER)
        client.delete(RedisKeys.of(both).sequence(DRIVER))
        until_followed(store, both, DRIVER)
    entries: Any = client.xrange(RedisKeys.of(both).live(DRIVER))
    assert {"gap": "1"} in [fields for _, fields in entries[1:]]


def test_the_stream_is_trimmed(
    redis_only: Settings,
    client: redis.Redis,
    window: Build,
    frame: Build,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It keeps its last entries, trimmed in blocks, and their ids only grow."""
    monkeypatch.setattr(live_changes, "STREAM_ENTRIES", 10)
    store = connect_redis(redis_only, "main")
    for count in range(1, 400):
        store.apply(DRIVER, frame(window(trip_count=count)))
    entries: Any = client.xrange(RedisKeys.of(redis_only).live(DRIVER))
    assert 10 <= len(entries) < 200
    assert json.loads(entries[-1][1]["w"])[0][2] == 399
    entry_ids = [tuple(map(int, entry_id.split("-"))) for entry_id, _ in entries]
    assert entry_ids == sorted(set(entry_ids))
    store.close()
