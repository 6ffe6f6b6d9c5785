"""Stores that lack what they were given: refused with the remedy, or refilled."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

import msgspec
import polars as pl
import psycopg
import pytest
import redis
from polars.testing import assert_frame_equal
from psycopg import sql

from mobility.entities import BY_NAME
from mobility.keys import RedisKeys
from mobility.measures import NULLABLE, SUMS
from mobility.records import PARTIAL_SCHEMA
from mobility.settings import Settings, Store
from runtime.failures import EXIT_REFUSED
from sinks import connect_authority
from sinks.store import TOTALS_SCHEMA
from tests.dataflows.conftest import Hub, trips_log
from tests.dataflows.doubles import batch_answer
from tests.dataflows.test_services import assert_succeeded, concat_logs
from tests.sinks.following import redis_totals
from tests.strategies import MINUTE, NOON
from tests.waiting import DEADLINE, until

pytestmark = pytest.mark.services

DRIVER = BY_NAME["driver"]
LACKS = "that were written to it"

Restore = Callable[[], None]


@contextmanager
def postgres_copy(settings: Settings) -> Iterator[Restore]:
    """Copy all tables of the tenant; yield what brings this copy back, as a restored dump does."""
    schema = settings.postgres.rpartition("%3D")[2]
    copy = f"{schema}_copy"
    with psycopg.connect(settings.postgres, autocommit=True) as connection:
        query = "SELECT tablename FROM pg_tables WHERE schemaname = %s"
        tables = [str(name) for (name,) in connection.execute(query, [schema])]
        connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(copy)))
        for table in tables:
            statement = sql.SQL("CREATE TABLE {} AS TABLE {}")
            of_copy, original = sql.Identifier(copy, table), sql.Identifier(schema, table)
            connection.execute(statement.format(of_copy, original))

        def restore_tables() -> bool:
            with connection.transaction():
                for table in tables:
                    names = sql.Identifier(schema, table), sql.Identifier(copy, table)
                    connection.execute(sql.SQL("TRUNCATE {}").format(names[0]))
                    connection.execute(sql.SQL("INSERT INTO {} SELECT * FROM {}").format(*names))
            return True

        def restore() -> None:
            # Beside a flow, which may hold one of the tables and want another.
            until(partial(unless_deadlocked, restore_tables), "the tables to be restored")

        yield restore
        connection.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(copy)))


def unless_deadlocked(transaction: Callable[[], bool]) -> bool:
    """Return what a transaction returns; False where Postgres has ended it for a deadlock."""
    try:
        return transaction()
    except psycopg.errors.DeadlockDetected:
        return False


@contextmanager
def redis_copy(settings: Settings) -> Iterator[Restore]:
    """Copy all keys of the tenant; yield what brings this copy back, as a restored file does."""
    with redis.Redis.from_url(settings.redis) as client:
        pattern = f"{settings.redis_prefix}*"
        keys = list(client.scan_iter(pattern))
        # An expired key is not restored, as the time at which it expires is in the file.
        dumped = {key: client.dump(key) for key in keys if b"lease:" not in key}

        def restore() -> None:
            client.delete(*client.scan_iter(pattern))
            for key, value in dumped.items():
                assert value is not None
                # Beside a flow, which may have written the key meanwhile.
                client.restore(key, 0, value, replace=True)

        yield restore


@contextmanager
def delta_copy(settings: Settings) -> Iterator[Restore]:
    """Copy the folder of the tables; yield what brings this copy back."""
    lake, copy = Path(str(settings.delta)), Path(f"{settings.delta}.copy")
    shutil.copytree(lake, copy)

    def restore() -> None:
        # Beside a flow, which may write a file while a folder is deleted: so it is moved away.
        fresh = shutil.copytree(copy, f"{lake}.fresh")
        lake.rename(f"{lake}.replaced")
        Path(fresh).rename(lake)

    yield restore


COPIES = {"postgres": postgres_copy, "redis": redis_copy, "delta": delta_copy}


def empty(settings: Settings, store: Store) -> None:
    """Delete everything of the tenant in a store."""
    if store == "redis":
        with redis.Redis.from_url(settings.redis) as client:
            client.delete(*client.scan_iter(f"{settings.redis_prefix}*"))
        return
    if store == "delta":
        shutil.rmtree(str(settings.delta))
        return
    schema = settings.postgres.rpartition("%3D")[2]
    with psycopg.connect(settings.postgres, autocommit=True) as connection:
        for command in ("DROP SCHEMA {} CASCADE", "CREATE SCHEMA {}"):
            connection.execute(sql.SQL(command).format(sql.Identifier(schema)))


def windows(settings: Settings, store: Store) -> pl.DataFrame:
    """Return the windows of drivers that a store holds."""
    only = msgspec.structs.replace(settings, stores=(store,))
    with closing(connect_authority(only, "main")) as connected:
        return connected.windows(DRIVER).select(PARTIAL_SCHEMA.names())


@pytest.mark.parametrize("store", ["postgres", "redis", "delta"])
@pytest.mark.parametrize("fault", ["an earlier copy", "emptied"])
def test_a_store_that_lacks_windows_is_refused_until_it_is_filled_again(
    hub: Hub, store: Store, fault: str
) -> None:
    """The only store, which nothing could refill: its totals would be too small for ever."""
    hub.settings = msgspec.structs.replace(hub.settings, stores=(store,))
    hub.make_topics()
    one, two, three = (trips_log(41 + n, NOON + n * 120 * MINUTE) for n in range(3))
    hub.write(one)
    assert_succeeded(hub.run())
    with COPIES[store](hub.settings) as restore:
        hub.write(two)
        assert_succeeded(hub.run())
        restore() if fault == "an earlier copy" else empty(hub.settings, store)
        hub.write(three)
        refused = hub.run()
    assert refused.returncode == EXIT_REFUSED
    assert LACKS in refused.stderr
    assert f"just rebuild {store}" in refused.stderr

    assert_succeeded(hub.run("--rebuild", store))
    until_the_lease_has_expired(hub.settings, store)
    assert_succeeded(hub.run())
    log = concat_logs(concat_logs(one, two), three)
    assert_frame_equal(windows(hub.settings, store), batch_answer(log, DRIVER, hub.settings))


def until_the_lease_has_expired(settings: Settings, store: Store) -> None:
    """Let the next writer have Redis without waiting for its lease."""
    if store == "redis":
        with redis.Redis.from_url(settings.redis) as client:
            client.delete(RedisKeys.of(settings).lease("flow"))


@pytest.mark.parametrize("later", ["postgres", "delta"])
def test_an_authority_that_comes_later_is_refused_until_it_is_filled(
    hub: Hub, later: Store
) -> None:
    """It would have the windows from now on, and call them complete."""
    hub.make_topics()
    one, two = trips_log(51), trips_log(52, NOON + 120 * MINUTE)
    hub.write(one)
    assert_succeeded(hub.run(stores=("redis",)))
    hub.settings = msgspec.structs.replace(hub.settings, stores=("redis", later))
    hub.write(two)
    refused = hub.run()
    assert refused.returncode == EXIT_REFUSED
    assert f"was used without {later}" in refused.stderr

    assert_succeeded(hub.run("--rebuild", later))
    assert_succeeded(hub.run())
    answer = batch_answer(concat_logs(one, two), DRIVER, hub.settings)
    assert_frame_equal(windows(hub.settings, later), answer)


@pytest.mark.parametrize("fault", ["an earlier copy", "comes later"])
def test_redis_beside_postgres_gets_what_it_lacks(hub: Hub, fault: str) -> None:
    """It has what Postgres has when the next run ends, and nothing of before."""
    hub.settings = msgspec.structs.replace(hub.settings, stores=("redis", "postgres"))
    hub.make_topics()
    one, two, three = (trips_log(61 + n, NOON + n * 120 * MINUTE) for n in range(3))
    hub.write(one)
    assert_succeeded(hub.run())
    with redis_copy(hub.settings) as restore:
        hub.write(two)
        stores = ("redis", "postgres") if fault == "an earlier copy" else ("postgres",)
        assert_succeeded(hub.run(stores=stores))
        restore()
        hub.write(three)
        assert_succeeded(hub.run())
    answer = batch_answer(concat_logs(concat_logs(one, two), three), DRIVER, hub.settings)
    totals = (
        answer.group_by("id")
        .agg(
            pl.col(*SUMS).sum(),
            pl.col("start_time").min(),
            pl.col("last_start_time").max(),
            *(getattr(pl.col(each.name), each.kind)() for each in NULLABLE),
        )
        .cast(TOTALS_SCHEMA)
        .sort("id")
    )
    found = redis_totals(hub.settings, DRIVER).select(TOTALS_SCHEMA.names())
    assert_frame_equal(found, totals.select(TOTALS_SCHEMA.names()))


@pytest.mark.parametrize("store", ["postgres", "redis", "delta"])
def test_a_store_that_goes_back_while_the_flow_runs_ends_it(hub: Hub, store: Store) -> None:
    """With the next windows, which are not written."""
    hub.settings = msgspec.structs.replace(hub.settings, stores=(store,))
    hub.make_topics()
    one, two, three = (trips_log(71 + n, NOON + n * 120 * MINUTE) for n in range(3))
    hub.write(one)
    assert_succeeded(hub.run())
    with COPIES[store](hub.settings) as restore:
        flow = hub.start()
        hub.write(two)
        answer = batch_answer(concat_logs(one, two), DRIVER, hub.settings)
        until(lambda: windows(hub.settings, store), "the next windows", answer.equals)
        restore()
        hub.write(three)
        _, err = flow.communicate(timeout=DEADLINE)
    assert flow.returncode == EXIT_REFUSED, err
    assert LACKS in err
