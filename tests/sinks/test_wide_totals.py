"""Totals of all time beyond a bigint: in Postgres, in Redis that follows it, and in the audit."""

import secrets
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from typing import Any

import msgspec
import polars as pl
import psycopg
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from audit import stores
from audit.audited_postgres import AuditedPostgres
from audit.audited_stores import AuditedRange
from audit.comparison import OutputComparison
from mobility.entities import BY_NAME
from mobility.measures import TOTALS
from mobility.records import MAX_EVENT_TIME, MICRO, MIN_EVENT_TIME
from mobility.settings import Settings
from mobility.totals import highest_versions
from sinks.ledger_maintenance import maintain_ledger
from sinks.new_windows import CopyChoice
from sinks.postgres import MAX_BIGINT, PostgresStore, connect_postgres
from tests.databases import query
from tests.sinks.earlier_schemas import make_schema_without_carries
from tests.sinks.following import followed_store, redis_totals, until_followed

pytestmark = pytest.mark.services

DRIVER = BY_NAME["driver"]
Build = Any

LARGEST = 9 * 10**18
"""A window of 9 million trips of 10^6: about the largest that a ledger takes."""


@pytest.fixture
def postgres(settings: Settings) -> Iterator[PostgresStore]:
    """Return an empty store that is followed."""
    store = connect_postgres(settings, "main")
    yield store
    store.close()


def sums(of: pl.DataFrame, entity_id: str = "d1") -> list[tuple[int, ...]]:
    """Return the exact sums of an id in totals."""
    return of.filter(id=entity_id).select(TOTALS).rows()


def compared_totals(settings: Settings) -> OutputComparison:
    """Return how the audit compares totals with their windows."""
    postgres_only = msgspec.structs.replace(settings, stores=("postgres",))
    every = AuditedRange(MIN_EVENT_TIME, MAX_EVENT_TIME)
    found = AuditedPostgres(postgres_only).read(
        stores.read_postgres_windows(postgres_only), every, [DRIVER], all_ids=True
    )
    (comparison,) = found.totals
    return comparison


@pytest.mark.parametrize("pane", ["on_time", "early"])
def test_new_windows_exceed_a_bigint(
    settings: Settings, window: Build, frame: Build, pane: str
) -> None:
    """In one batch, in many, and below zero; Redis, the view and the audit have every digit."""
    both = msgspec.structs.replace(settings, shards=1)
    amounts = {"total_duration": LARGEST + 1, "total_revenue": -LARGEST - 1, "total_distance": 3}
    with followed_store(both, DRIVER) as store:
        for first in range(0, 120, 40):
            rows = [window(at=at, pane=pane, **amounts) for at in range(first, first + 40)]
            store.apply(DRIVER, frame(*rows, window("d2", at=first, pane=pane)))
        store.apply(DRIVER, frame(window(at=120, pane=pane, **amounts)))
        expected = [(121 * (LARGEST + 1), 121 * 3, -121 * (LARGEST + 1))]
        assert sums(store.totals(DRIVER)) == expected
        assert sums(store.totals(DRIVER), "d2") == [(3 * 12_500_000, 3 * 3_250_000, 3 * 9_990_000)]
        until_followed(store, both, DRIVER)
        assert sums(redis_totals(both, DRIVER)) == expected
    shown = query(settings, f"SELECT {', '.join(TOTALS)} FROM driver_metrics WHERE id = 'd1'")  # noqa: S608 - ours
    assert shown[0] == tuple(Decimal(each) / MICRO for each in expected[0])
    assert compared_totals(settings).differences == 0


def test_windows_that_are_replaced(postgres: PostgresStore, window: Build, frame: Build) -> None:
    """By more trips, by amounts of the other sign, by a generation that takes nearly all away."""
    touched = []

    def write(at: range, trips: int, amount: int, generation: int = 0) -> None:
        rows = (
            window(at=each, trip_count=trips, generation=generation, total_revenue=amount)
            for each in at
        )
        result = postgres.apply(DRIVER, frame(*rows)).touched
        assert result is not None
        touched.append(sums(result.totals.unique())[0][2])

    write(range(30), 1, LARGEST)
    write(range(30), 2, -LARGEST)
    write(range(30), 3, MAX_BIGINT)
    write(range(29), 0, 0, generation=1)
    write(range(29, 30), 1, -5, generation=1)
    assert touched == [30 * LARGEST, -30 * LARGEST, 30 * MAX_BIGINT, MAX_BIGINT, -5]
    assert sums(postgres.totals(DRIVER))[0][2] == -5


def test_windows_that_were_dropped(settings: Settings, window: Build, frame: Build) -> None:
    """Their sums, of several weeks, are kept exactly; what a backfill takes away later is, too."""
    kept = msgspec.structs.replace(settings, stores=("postgres",), retention="panes:1d")
    week = 7 * 288
    with closing(connect_postgres(kept, "main")) as store:
        for number in range(3):
            at = range(number * week, number * week + 5)
            store.apply(DRIVER, frame(*(window(at=each, total_distance=LARGEST) for each in at)))
        store.record_progress(DRIVER, 0, 1, window(at=13 * 288 + 1)["window_start"])
        maintain_ledger(kept)
        assert store.windows(DRIVER).height == 5
        assert sums(store.totals(DRIVER))[0][1] == 15 * LARGEST
        assert compared_totals(settings).differences == 0
        last = [window(at=2 * week + each, generation=1, total_distance=-1) for each in range(5)]
        store.apply(DRIVER, frame(*last))
        assert sums(store.totals(DRIVER))[0][1] == 10 * LARGEST - 5
        assert compared_totals(settings).differences == 0
    whole = "SELECT total_distance_carry * 1000000000000000000::numeric + total_distance"
    assert query(settings, f"{whole} FROM driver_before") == [(10 * LARGEST,)]


def test_an_upgrade(settings: Settings, window: Build, frame: Build) -> None:
    """Totals of before go on; views that others have made, and what they granted, are there."""
    make_schema_without_carries(settings)
    most = window("d", total_revenue=MAX_BIGINT)
    totals = (
        "INSERT INTO driver_totals (id, trip_count, total_duration, total_distance, total_revenue) "
        "VALUES (%s, 1, %s, %s, %s)"
    )
    own_of_own = (
        "CREATE VIEW own_of_own WITH (security_barrier=true) AS "
        "SELECT own.*, avg_duration FROM own JOIN driver_metrics USING (id)"
    )
    with psycopg.connect(settings.postgres) as connection:
        connection.execute(totals, ["d", 12_500_000, 3_250_000, MAX_BIGINT])
        connection.execute(totals, ["e", 1, -1, -MAX_BIGINT])
        connection.execute(
            "CREATE VIEW own AS SELECT id, total_revenue, max_price FROM driver_metrics"
        )
        connection.execute(own_of_own)
        connection.execute("GRANT SELECT ON driver_metrics, own_of_own TO PUBLIC")
    columns = (
        "SELECT column_name FROM information_schema.columns "
        "WHERE table_schema = current_schema() AND table_name = 'driver_metrics' "
        "ORDER BY ordinal_position"
    )
    before = query(settings, columns)
    with closing(connect_postgres(settings, "main")) as store:
        assert sums(store.totals(DRIVER), "d") == [(12_500_000, 3_250_000, MAX_BIGINT)]
        assert sums(store.totals(DRIVER), "e") == [(1, -1, -MAX_BIGINT)]
        store.apply(DRIVER, frame(*(most | {"window_start": at * 300_000} for at in range(20))))
        assert sums(store.totals(DRIVER), "d") == [
            (21 * 12_500_000, 21 * 3_250_000, 21 * MAX_BIGINT)
        ]
    assert query(settings, columns) == before
    shown = (Decimal(21 * MAX_BIGINT) / MICRO,)
    for view in ("driver_metrics", "own", "own_of_own"):
        revenue = f"SELECT total_revenue FROM {view} WHERE id = 'd'"  # noqa: S608 - ours
        assert query(settings, revenue) == [shown]
    facts = "SELECT relacl::text LIKE '%=r/%', reloptions FROM pg_class WHERE oid = '{}'::regclass"
    assert query(settings, facts.format("driver_metrics")) == [(True, None)]
    assert query(settings, facts.format("own")) == [(None, None)]
    assert query(settings, facts.format("own_of_own")) == [(True, ["security_barrier=true"])]


def test_an_upgrade_drops_nothing_that_it_can_t_create(settings: Settings) -> None:
    """What is no view is named in the error; after it was dropped, the upgrade goes on."""
    make_schema_without_carries(settings)
    with psycopg.connect(settings.postgres) as connection:
        connection.execute("CREATE MATERIALIZED VIEW own AS SELECT * FROM driver_metrics")
    with pytest.raises(Exception, match="own"):
        connect_postgres(settings, "main").close()
    with psycopg.connect(settings.postgres) as connection:
        connection.execute("DROP MATERIALIZED VIEW own")
    connect_postgres(settings, "main").close()


amounts = st.sampled_from(
    (MAX_BIGINT, -MAX_BIGINT, LARGEST, 10**18, 10**18 - 1, -(10**18), 1, 0, -1)
) | st.integers(-MAX_BIGINT, MAX_BIGINT)

versions = st.builds(
    lambda at, trips, generation, sums: {
        "at": at,
        "trip_count": trips,
        "generation": generation,
        **dict(zip(TOTALS, sums, strict=True)),
    },
    st.integers(0, 6),
    st.integers(1, 4),
    st.integers(0, 1),
    st.tuples(amounts, amounts, amounts),
)


@given(
    batches=st.lists(st.lists(versions, min_size=1, max_size=7), min_size=1, max_size=6),
    data=st.data(),
)
@hypothesis_settings(
    max_examples=40,
    deadline=None,
    # All examples share a store: each one has another id.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_any_order_of_extremes_is_added_exactly(
    postgres: PostgresStore,
    window: Build,
    frame: Build,
    batches: list[list[dict[str, Any]]],
    data: st.DataObject,
) -> None:
    """Copied or reconciled, totals are the sums of the windows, which Python adds up."""
    entity_id = secrets.token_hex(8)
    ledger: dict[int, dict[str, Any]] = {}
    for batch in batches:
        rows = highest_versions(frame(*(window(entity_id, **each) for each in batch)))
        is_copied = data.draw(st.booleans())
        with pytest.MonkeyPatch.context() as patch:
            new = rows if is_copied else rows.clear()
            patch.setattr(CopyChoice, "expected_new", lambda _self, _rows, new=new: new)
            result = postgres.apply(DRIVER, rows)
        for row in rows.iter_rows(named=True):
            stored = ledger.get(row["window_start"])
            version = (row["generation"], row["trip_count"])
            if stored is None or version >= (stored["generation"], stored["trip_count"]):
                ledger[row["window_start"]] = row
        expected = tuple(sum(row[name] for row in ledger.values()) for name in TOTALS)
        assert result.touched is not None
        if not result.touched.totals.is_empty():
            assert sums(result.touched.totals.unique(), entity_id) == [expected]
        assert sums(postgres.totals(DRIVER), entity_id) == [expected]
