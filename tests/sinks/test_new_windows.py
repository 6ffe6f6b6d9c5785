"""Windows that Postgres copies: the same as if all were reconciled, whatever interferes."""

import secrets
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

import msgspec
import polars as pl
import psycopg
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from mobility.entities import BY_NAME, Entity
from mobility.keys import LAST_WINDOW
from mobility.records import WINDOW_SCHEMA
from mobility.settings import Settings
from mobility.sketched_measures import Sketch
from mobility.totals import highest_versions
from postgres.connection import Connection
from sinks import new_windows
from sinks import postgres as postgres_module
from sinks.new_windows import MOST_SKIPPED, WORTH_COPYING, CopyChoice, copy_windows
from sinks.postgres import SPLIT_ROWS, PostgresStore, connect_postgres
from sinks.postgres_copy import copy_in
from sinks.postgres_session import PostgresSession
from sinks.store import TOTALS_SCHEMA, ApplyResult, StoreError
from tests.sinks.memory_store import MemoryStore
from tests.waiting import until

DRIVER = BY_NAME["driver"]
Build = Any
T = TypeVar("T")


@pytest.fixture
def followed(settings: Settings) -> Settings:
    """Return settings where Redis follows, so that Postgres says what it has touched."""
    return msgspec.structs.replace(settings, stores=("redis", "postgres"))


@pytest.fixture
def postgres(followed: Settings) -> Iterator[PostgresStore]:
    """Return an empty store that is followed."""
    store = connect_postgres(followed, "main")
    yield store
    store.close()


@pytest.fixture
def copied(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return the sizes of the batches that were copied up to the end of their transaction."""
    sizes: list[int] = []

    def count(
        connection: Connection, entity: Entity, rows: pl.DataFrame, sketches: tuple[Sketch, ...]
    ) -> None:
        copy_windows(connection, entity, rows, sketches)
        sizes.append(rows.height)

    monkeypatch.setattr(postgres_module, "copy_windows", count)
    return sizes


@contextmanager
def before_the_ledger(
    monkeypatch: pytest.MonkeyPatch, do: Callable[[Connection], object]
) -> Iterator[None]:
    """Do something once, when totals have been added and no window has been copied yet."""
    left = [do]

    def interfere(
        connection: Connection, table: psycopg.sql.Identifier, rows: pl.DataFrame
    ) -> None:
        if table == psycopg.sql.Identifier("driver_ledger") and left:
            left.pop()(connection)
        copy_in(connection, table, rows)

    with monkeypatch.context() as patch:
        patch.setattr(new_windows, "copy_in", interfere)
        yield
    assert not left


def version(entity_id: str, at: int, generation: int, count: int) -> dict[str, Any]:
    """Return a version of a window; equal versions have equal values."""
    window_start = 1_735_689_600_000 + at * 300_000
    return {
        "id": entity_id,
        "window_start": window_start,
        "trip_count": count,
        "total_duration": count * (10**15 - generation),
        "total_distance": count + at,
        "total_revenue": -count * generation,
        "start_time": window_start + 100_001 * generation - 999 * count + 90_000,
        "last_start_time": window_start - 100_001 * generation + 999 * count + 190_000,
        "max_price": None if generation == 1 else count,
        "max_distance": count - generation,
        "distance_count": count // 2,
        "revenue_count": count,
        "pane": "late" if count > 3 else "on_time",
        "generation": generation,
    }


batches = st.lists(
    st.lists(
        st.builds(
            version,
            st.sampled_from(("a", "b", '"', "é→水")),
            st.integers(0, 20),
            st.integers(0, 2),
            st.integers(0, 5),
        ),
        min_size=1,
        max_size=12,
    ),
    min_size=1,
    max_size=8,
)


def panes(**numbers: int) -> pl.DataFrame:
    """Return so many windows of each pane, late ones among them first."""
    rows = [
        version("a", at, 0, 1) | {"pane": pane}
        for pane, number in numbers.items()
        for at in range(number)
    ]
    return pl.DataFrame(rows, schema=WINDOW_SCHEMA)


def test_most_batches_after_a_conflict_are_not_copied() -> None:
    """The worse the guesses were, the rarer the attempts; one that succeeds ends that."""
    rows = panes(on_time=1)
    choice = CopyChoice()
    skipped = []
    for _ in range(8):
        assert choice.expected_new(rows).height == 1
        choice.learn(were_new=False)
        skipped.append(0)
        while choice.expected_new(rows).is_empty():
            skipped[-1] += 1
    assert skipped == [1, 2, 4, 8, *[MOST_SKIPPED] * 4]
    choice.learn(were_new=True)
    assert choice.expected_new(rows).height == 1


@pytest.mark.parametrize("live", [{"early": 1}, {"on_time": 5_000, "early": 1}, {"late": 5_000}])
def test_batches_without_new_windows(live: dict[str, int]) -> None:
    """None is copied, and what was learned stays as it was."""
    choice = CopyChoice()
    choice.learn(were_new=False)
    assert choice.expected_new(panes(**live)).is_empty()
    assert choice.expected_new(panes(on_time=1)).is_empty()
    assert choice.expected_new(panes(on_time=1)).height == 1


@pytest.mark.parametrize(("on_time", "copied"), [(WORTH_COPYING, WORTH_COPYING), (999, 0)])
def test_late_windows_leave_the_others_to_be_copied(on_time: int, copied: int) -> None:
    """Where those are many: else one transaction is better than two."""
    assert CopyChoice().expected_new(panes(late=2, on_time=on_time)).height == copied


@pytest.mark.services
@given(batches=batches, data=st.data())
@hypothesis_settings(
    max_examples=40,
    deadline=None,
    # All examples share a store: each one has different ids.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_any_mix_of_both_ways_is_as_reconciled(
    postgres: PostgresStore, batches: list[list[dict[str, Any]]], data: st.DataObject
) -> None:
    """Whichever batches are copied, totals and windows are those of the highest versions.

    And a batch has touched what reconciling it would have touched.
    """
    example = secrets.token_hex(4)
    reference = MemoryStore()
    replayed = data.draw(st.lists(st.sampled_from(batches), max_size=3))
    for batch in data.draw(st.permutations(batches + replayed)):
        named = [row | {"id": example + row["id"]} for row in batch]
        rows = highest_versions(pl.DataFrame(named, schema=WINDOW_SCHEMA))
        before = reference.windows(DRIVER)
        with pytest.MonkeyPatch.context() as patch:
            tried = data.draw(st.sampled_from(([], ["on_time"], ["on_time", "late"])))
            new = rows.filter(pl.col("pane").is_in(tried))
            patch.setattr(CopyChoice, "expected_new", lambda _self, _rows, new=new: new)
            result = postgres.apply(DRIVER, rows)
        assert result == reference.apply(DRIVER, rows)
        assert result.touched is not None
        replaced = reference.windows(DRIVER).join(
            before, on=before.columns, how="anti", nulls_equal=True
        )
        key = ["id", "window_start"]
        assert_frame_equal(result.touched.windows.sort(key), replaced.sort(key))
        touched = result.touched.totals.unique("id", keep="last").sort("id")
        ids = replaced["id"].unique().implode()
        totals = reference.totals(DRIVER).filter(pl.col("id").is_in(ids))
        assert_frame_equal(touched.select(TOTALS_SCHEMA.names()), totals)
        newest = reference.windows(DRIVER).group_by("id").agg(pl.col("window_start").max())
        assert touched[LAST_WINDOW].to_list() == (
            newest.filter(pl.col("id").is_in(ids)).sort("id")["window_start"].to_list()
        )
    of_example = pl.col("id").str.starts_with(example)
    assert_frame_equal(postgres.totals(DRIVER).filter(of_example), reference.totals(DRIVER))
    assert_frame_equal(postgres.windows(DRIVER).filter(of_example), reference.windows(DRIVER))


@pytest.mark.services
def test_new_windows_are_copied(
    postgres: PostgresStore, copied: list[int], window: Build, frame: Build
) -> None:
    """Of known and of new ids, and of both halves of a large batch."""
    for at in range(3):
        ids = [f"d{n:04}" for n in range(SPLIT_ROWS + at)]
        postgres.apply(DRIVER, frame(*(window(name, at=at, pane="on_time") for name in ids)))
    assert len(copied) == 6
    assert sum(copied) == 3 * SPLIT_ROWS + 3
    assert postgres.totals(DRIVER)["trip_count"].sum() == 3 * SPLIT_ROWS + 3


@pytest.mark.services
def test_late_windows_beside_new_ones(
    postgres: PostgresStore, copied: list[int], window: Build, frame: Build
) -> None:
    """New ones are copied first, the late ones reconciled then; what both touched is what is there.

    The sequence number is that of the second transaction.
    """
    ids = [f"d{n:04}" for n in range(WORTH_COPYING)]
    postgres.apply(DRIVER, frame(*(window(name, pane="on_time") for name in ids)))
    late = [window(name, pane="late", trip_count=2) for name in ids[:3]]
    rows = highest_versions(
        frame(
            *late, *(window(name, at=1, pane="on_time") for name in ids), window("e", pane="late")
        )
    )
    result = postgres.apply(DRIVER, rows)
    assert copied == [WORTH_COPYING] * 2
    assert result == ApplyResult(applied=WORTH_COPYING + 4)
    assert result.sequence_number is not None
    assert result.sequence_number.number == 3
    assert result.touched is not None
    assert (result.touched.first, result.touched.number) == (2, 3)
    touched = result.touched.totals.unique("id", keep="last").sort("id")
    assert_frame_equal(touched.select(TOTALS_SCHEMA.names()), postgres.totals(DRIVER))
    assert touched["trip_count"].to_list() == [3] * 3 + [2] * (WORTH_COPYING - 3) + [1]
    assert_frame_equal(result.touched.windows.sort("id", "window_start"), rows)


@pytest.mark.services
def test_a_conflict_in_the_middle_of_a_batch(
    postgres: PostgresStore, copied: list[int], window: Build, frame: Build
) -> None:
    """One half is copied; the other one, which has a window that was there, is reconciled whole."""
    ids = [f"d{n:04}" for n in range(2 * SPLIT_ROWS)]
    postgres.apply(DRIVER, frame(window(ids[700], trip_count=2)))
    rows = frame(*(window(name, pane="on_time") for name in ids))
    result = postgres.apply(DRIVER, rows)
    assert result == ApplyResult(applied=2 * SPLIT_ROWS - 1, unchanged=1)
    assert copied == [SPLIT_ROWS]
    assert postgres.totals(DRIVER)["trip_count"].sum() == 2 * SPLIT_ROWS + 1
    touched = result.touched
    assert touched is not None
    assert touched.totals.height == touched.windows.height == 2 * SPLIT_ROWS - 1
    assert touched.reread == 0


@pytest.mark.services
def test_a_backfill_while_windows_are_copied(
    followed: Settings,
    postgres: PostgresStore,
    window: Build,
    frame: Build,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It waits for the ids, and then replaces the window that was copied meanwhile."""
    postgres.apply(DRIVER, frame(window("a", at=1)))
    backfill = connect_postgres(followed, "backfill")
    higher = frame(*(window(name, generation=1, trip_count=7) for name in "ab"))
    with ThreadPoolExecutor(1) as pool:

        def begin(connection: Connection) -> None:
            written.append(pool.submit(backfill.apply, DRIVER, higher))
            until(lambda: is_waited_for(followed, connection), "the backfill to wait for the ids")

        written: list[Any] = []
        with before_the_ledger(monkeypatch, begin):
            postgres.apply(DRIVER, frame(*(window(name, pane="on_time") for name in "ab")))
        assert written[0].result() == ApplyResult(applied=2)
    assert postgres.totals(DRIVER)["trip_count"].to_list() == [8, 7]
    backfill.close()


def is_waited_for(settings: Settings, connection: Connection) -> bool:
    """Return whether another session waits for the transaction of a connection."""
    with psycopg.connect(settings.postgres) as other:
        query = "SELECT count(*) FROM pg_stat_activity WHERE %s = ANY (pg_blocking_pids(pid))"
        ((waiting,),) = other.execute(query, [connection.info.backend_pid]).fetchall()
        return int(str(waiting)) > 0


@pytest.mark.services
def test_windows_that_a_backfill_commits_first(
    followed: Settings,
    postgres: PostgresStore,
    window: Build,
    frame: Build,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The copy waits for the ids, finds the windows of the backfill, and is reconciled."""
    backfill = connect_postgres(followed, "backfill")
    higher = frame(window("b", pane="on_time", generation=1, trip_count=7))
    is_written, may_commit = threading.Event(), threading.Event()

    def wait(_connection: Connection) -> None:
        is_written.set()
        may_commit.wait(20)

    with before_the_ledger(monkeypatch, wait), ThreadPoolExecutor(2) as pool:
        first = pool.submit(backfill.apply, DRIVER, higher)
        assert is_written.wait(20)
        rows = frame(*(window(name, pane="on_time") for name in "abc"))
        second = pool.submit(postgres.apply, DRIVER, rows)
        until(lambda: has_lock_waits(followed), "the copy to wait for the backfill")
        may_commit.set()
        assert first.result() == ApplyResult(applied=1)
        assert second.result() == ApplyResult(applied=2, unchanged=1)
    assert postgres.totals(DRIVER)["trip_count"].to_list() == [1, 7, 1]
    backfill.close()


def has_lock_waits(settings: Settings) -> bool:
    """Return whether a session waits for the transaction of another one."""
    with psycopg.connect(settings.postgres) as other:
        query = "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'transactionid'"
        ((waiting,),) = other.execute(query).fetchall()
        return int(str(waiting)) > 0


@pytest.mark.services
def test_a_flow_and_a_backfill_at_once(followed: Settings, window: Build, frame: Build) -> None:
    """Whoever is first with a window, the higher generation counts, and each window once."""
    stores = [connect_postgres(followed, "main"), connect_postgres(followed, "backfill")]
    barrier = threading.Barrier(2)

    def write(number: int) -> None:
        for at in range(20):
            ids = range(40) if number else range(20, 60)
            rows = [window(f"d{n}", at=at, pane="on_time", generation=number) for n in ids]
            rows = [row | {"trip_count": 1 + number} for row in rows]
            barrier.wait()
            stores[number].apply(DRIVER, highest_versions(frame(*rows)))

    with ThreadPoolExecutor(2) as pool:
        for written in [pool.submit(write, number) for number in range(2)]:
            written.result()
    totals = stores[0].totals(DRIVER)["trip_count"]
    assert sorted(totals) == [20] * 20 + [40] * 40
    assert stores[0].windows(DRIVER).height == 60 * 20
    for store in stores:
        store.close()


@pytest.mark.services
def test_a_crash_between_totals_and_ledger(
    postgres: PostgresStore,
    window: Build,
    frame: Build,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing of the transaction stays; the next attempt copies all of it, once."""
    rows = frame(*(window(name, pane="on_time") for name in "ab"))
    with before_the_ledger(monkeypatch, lambda connection: connection.close()):
        assert postgres.apply(DRIVER, rows) == ApplyResult(applied=2)
    assert postgres.totals(DRIVER)["trip_count"].to_list() == [1, 1]
    assert postgres.windows(DRIVER).height == 2


@pytest.mark.services
def test_a_reply_that_is_lost_after_the_commit(
    postgres: PostgresStore, window: Build, frame: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The windows are there at the next attempt; what the first one touched must be read again."""
    run_once, lost = PostgresSession._run_once, [1]

    def run_and_lose(session: PostgresSession, work: Callable[[Connection], T]) -> T:
        answer = run_once(session, work)
        if isinstance(answer, ApplyResult) and lost:
            lost.pop()
            msg = "the reply was lost"
            raise psycopg.OperationalError(msg)
        return answer

    monkeypatch.setattr(PostgresSession, "_run_once", run_and_lose)
    rows = frame(*(window(name, pane="on_time") for name in "ab"))
    result = postgres.apply(DRIVER, rows)
    assert result == ApplyResult(unchanged=2)
    assert result.touched is not None
    assert result.touched.reread == result.touched.number == 2
    assert postgres.totals(DRIVER)["trip_count"].to_list() == [1, 1]


@pytest.mark.services
def test_another_error_is_not_taken_for_a_conflict(
    settings: Settings, postgres: PostgresStore, window: Build, frame: Build
) -> None:
    """A table that is not there is said at once."""
    with psycopg.connect(settings.postgres) as connection:
        connection.execute("DROP TABLE driver_ledger CASCADE")
    with pytest.raises(StoreError, match="refused a statement"):
        postgres.apply(DRIVER, frame(window(pane="on_time")))
