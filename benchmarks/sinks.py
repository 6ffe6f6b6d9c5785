"""The sinks alone, each compared with the batch writer of its client's documentation."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import median
from typing import Final

import msgspec
import polars as pl
import psycopg
import redis

from audit import stores
from benchmarks.benchmark_run import BenchmarkRun
from benchmarks.section import Section, Target
from benchmarks.tenant import empty_tenant, tenant_settings
from benchmarks.timed_command import BenchmarkError
from benchmarks.workload import Workload, make_trips
from mobility.entities import BY_NAME
from mobility.measures import COUNTS, NULLABLE
from mobility.records import MICRO, WINDOW_SCHEMA, WindowUpdate
from mobility.settings import Settings, Store
from sinks import StoreSink

_TENANT: Final = "bench_sinks"
_WINDOWS: Final = 200_000
_WINDOWS_PER_UPDATE: Final = 6_500
"""What a shard of passengers closes at once with the workload."""

_NAIVE_BATCH: Final = 1_000
_MIN_RATIO: Final = 2.0
_BOTH: Final[tuple[Store, ...]] = ("postgres", "redis")

_TEXT: Final = (
    "New windows of passengers, as the flow writes them. The naive writers store windows only: "
    "psycopg's `executemany` of an upsert, and a redis-py pipeline of HSET, 1,000 per batch. Ours "
    "store versions, running totals and progress as well. With both stores Redis follows Postgres, "
    "and the time is that until it has everything; the naive writer writes to one after the other."
)

Rows = pl.DataFrame
Write = Callable[[Rows], None]


@dataclass(frozen=True, slots=True)
class Writers:
    """The two writers of one store or both."""

    stores: tuple[Store, ...]
    ours: Write
    naive: Write


def measure(benchmark: BenchmarkRun) -> Section:
    """Write the same windows in turn, each into an empty store."""
    settings = tenant_settings(benchmark.settings, _TENANT)
    rows = make_windows(_WINDOWS)
    table, targets = [], []
    for writers in (
        Writers(("postgres",), _own_writer(settings, "postgres"), _naive_postgres(settings)),
        Writers(("redis",), _own_writer(settings, "redis"), _naive_redis(settings)),
        Writers(_BOTH, _own_writer(settings, *_BOTH), _naive_both(settings)),
    ):
        name_of_stores = " and ".join(writers.stores)
        rates: dict[str, list[float]] = {"ours": [], "naive": []}
        for number in range(1, benchmark.repeat + 1):
            for name, write in (("ours", writers.ours), ("naive", writers.naive)):
                title = f"{name_of_stores}, {name}, {number} of {benchmark.repeat}"
                with benchmark.runner.step(title), empty_tenant(benchmark.settings, _TENANT):
                    rates[name].append(_rate(rows, write))
                    if name == "ours":
                        for store in writers.stores:
                            _check_totals(rows, settings, store)
        ours, naive = median(rates["ours"]), median(rates["naive"])
        table.append((name_of_stores, f"{ours:,.0f}", f"{naive:,.0f}", f"{ours / naive:.2f}"))
        targets.append(Target(f"{name_of_stores} sink / naive batches", ours / naive, _MIN_RATIO))
    headings = ("stores", "ours, windows/s", "naive, windows/s", "ratio")
    return Section(
        "sinks", "Sinks", _TEXT, headings=headings, rows=tuple(table), targets=tuple(targets)
    )


def make_windows(number: int) -> Rows:
    """Return so many windows of passengers (WINDOW_SCHEMA), earliest first."""
    frame = make_trips(Workload(2 * number)).with_columns(pl.col("start_time").dt.epoch("ms"))
    totals = {
        "total_duration": "duration_min",
        "total_distance": "distance_km",
        "total_revenue": "price",
    }
    grouped = frame.group_by(
        pl.col("passenger_id").alias("id"),
        window_start=pl.col("start_time") // 300_000 * 300_000,
    ).agg(
        pl.len().cast(pl.Int64).alias("trip_count"),
        *((pl.col(of) * MICRO).round().cast(pl.Int64).sum().alias(n) for n, of in totals.items()),
        pl.col("start_time").min(),
        pl.col("start_time").max().alias("last_start_time"),
        *((pl.col("price").max() * MICRO).round().cast(pl.Int64).alias(m.name) for m in NULLABLE),
        *(pl.len().cast(pl.Int64).alias(name) for name in COUNTS[1:]),
    )
    labelled = grouped.with_columns(pane=pl.lit("on_time"), generation=pl.lit(0, pl.Int64))
    windows = labelled.sort("window_start", "id").head(number)
    return windows.select(WINDOW_SCHEMA.names()).cast(WINDOW_SCHEMA)


def _rate(rows: Rows, write: Write) -> float:
    began = time.perf_counter()
    write(rows)
    return rows.height / (time.perf_counter() - began)


def _own_writer(settings: Settings, *stores: Store) -> Write:
    entity = BY_NAME["passenger"]

    def write(rows: Rows) -> None:
        chosen = msgspec.structs.replace(settings, stores=stores, shards=1)
        partition = StoreSink(chosen, entity, "main").build_part("bench", "0", None)
        for piece in rows.iter_slices(_WINDOWS_PER_UPDATE):
            watermark = piece["window_start"][-1]
            partition.write_batch([WindowUpdate(entity, 0, 1, watermark, piece)])
        partition.snapshot()  # waits for the last commit
        partition.close()  # waits for a store that follows

    return write


def _naive_postgres(settings: Settings) -> Write:
    columns = WINDOW_SCHEMA.names()
    replaced = ", ".join(f"{name} = excluded.{name}" for name in columns[2:])
    typed = ", ".join(
        f"{name} {'text' if kind == pl.String else 'bigint'}"
        for name, kind in WINDOW_SCHEMA.items()
    )
    upsert = (
        f"INSERT INTO naive_windows ({', '.join(columns)}) "  # noqa: S608 - fixed names
        f"VALUES ({', '.join(['%s'] * len(columns))}) "
        f"ON CONFLICT (id, window_start) DO UPDATE SET {replaced}"
    )

    def write(rows: Rows) -> None:
        with psycopg.connect(settings.postgres) as connection:
            connection.execute(
                f"CREATE TABLE naive_windows ({typed}, PRIMARY KEY (id, window_start))"
            )
            for batch in _batches(rows):
                with connection.cursor() as cursor:
                    cursor.executemany(upsert, batch.rows())
                connection.commit()

    return write


def _naive_redis(settings: Settings) -> Write:
    def write(rows: Rows) -> None:
        with redis.Redis.from_url(settings.redis) as client:
            for batch in _batches(rows):
                pipeline = client.pipeline(transaction=False)
                for row in batch.iter_rows(named=True):
                    key = f"{settings.redis_prefix}passenger:{row['id']}:{row['window_start']}"
                    pipeline.hset(key, mapping=row)
                pipeline.execute()

    return write


def _naive_both(settings: Settings) -> Write:
    to_postgres, to_redis = _naive_postgres(settings), _naive_redis(settings)

    def write(rows: Rows) -> None:
        to_postgres(rows)
        to_redis(rows)

    return write


def _batches(rows: Rows) -> Iterator[Rows]:
    return rows.iter_slices(_NAIVE_BATCH)


def _check_totals(rows: Rows, settings: Settings, store: Store) -> None:
    """Raise BenchmarkError if the store's totals are not the sums of the windows."""
    read = stores.read_postgres_totals if store == "postgres" else stores.read_redis_totals
    found = read(settings).filter(pl.col("entity") == "passenger")
    names = ("trip_count", "total_duration", "total_distance", "total_revenue")
    differing = [name for name in names if found[name].sum() != rows[name].sum()]
    if differing or found.height != rows["id"].n_unique():
        msg = f"{store} does not hold the totals of the windows: {', '.join(differing) or 'ids'}"
        raise BenchmarkError(msg)
