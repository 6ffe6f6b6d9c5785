"""What state costs while little happens, and what it costs a trip in a catch-up.

CPU time of this process alone, so the figures depend little on what else the machine does.
"""

import pickle
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from statistics import median
from typing import Final

import polars as pl

from benchmarks.benchmark_run import BenchmarkRun
from benchmarks.section import Section, Target
from dataflows.ingest import PartitionIngest
from dataflows.items import ShardPartial, WatermarkUpdate
from dataflows.windows import WindowLogic
from mobility.enrichment import Tables
from mobility.entities import BY_NAME, ENTITIES
from mobility.event_time import (
    PUNCTUATION_SCHEMA,
    EventTimeState,
    LatenessRules,
    classify,
)
from mobility.measures import COUNTS, NULLABLE
from mobility.settings import Settings
from mobility.status import ReadStatus
from mobility.totals import aggregated_columns, partial_totals, split_by_shard
from mobility.trips import decode_trips
from mobility.validation import TripRules

_SETTINGS: Final = Settings()
_WINDOW: Final = _SETTINGS.window_ms
_NOON: Final = 1_735_732_800_000
_BATCH: Final = 20_000
_REPEAT: Final = 50

_REMEMBERED: Final = (1_000_000, 5_000_000)
_OPEN: Final = 3_000_000
_CHANGES: Final = 100
_PARTITIONS: Final = 200
_CATCH_UPS: Final = (10_000, 100_000, 1_000_000)
_DISORDER_MS: Final = 400_000

_TEXT: Final = (
    "CPU time of one worker, in ms. An empty poll is the ingest of a batch without messages. "
    f"Changes are {_CHANGES} windows that grow among {_OPEN:,} open ones of a shard, from the "
    "batch to their early panes. A snapshot is the state as bytes, pickled as Bytewax does. "
    f"A turn gives the {len(ENTITIES) * _SETTINGS.shards} shards of a worker the watermarks of "
    f"{_PARTITIONS} partitions, or of one of them. A catch-up is what lateness, repeats, partial "
    f"aggregates and the window state of one entity cost a trip, in batches of {_BATCH:,}, with as "
    "many trips a window as there are ids; disordered trips come up to 400 s late."
)

Row = tuple[str, str, str]


def measure(benchmark: BenchmarkRun) -> Section:
    """Measure each kind of state by itself."""
    rows: list[Row] = []
    targets: list[Target] = []
    for remembered in _REMEMBERED:
        with benchmark.runner.step(f"dedupe state, {remembered:,} trips"):
            _measure_dedupe_state(remembered, rows, targets)
    with benchmark.runner.step(f"window state, {_OPEN:,} windows"):
        _measure_window_state(rows, targets)
    with benchmark.runner.step(f"watermarks of {_PARTITIONS} partitions"):
        _measure_turns(rows, targets)
    for ids in _CATCH_UPS:
        for disorder in (0, _DISORDER_MS):
            order = "disordered" if disorder else "in order"
            with benchmark.runner.step(f"catch-up, {ids:,} ids, {order}") as progress:
                costs = []
                for number in range(benchmark.repeat):
                    progress(f"{number + 1} of {benchmark.repeat}")
                    costs.append(_catch_up(ids, disorder))
                rows.append((f"catch-up, {order}, µs a trip", f"{ids:,} ids", f"{min(costs):.2f}"))
    return Section(
        "state",
        "State",
        _TEXT,
        headings=("what", "size", "CPU ms"),
        rows=tuple(rows),
        targets=tuple(targets),
    )


def _cpu_ms(call: Callable[[], object]) -> float:
    began = time.process_time()
    call()
    return (time.process_time() - began) * 1_000


def _figure(ms: float) -> str:
    return f"{ms:.3f}" if ms < 1 else f"{ms:,.1f}"


def _measure_dedupe_state(remembered: int, rows: list[Row], targets: list[Target]) -> None:
    ingest, tables = PartitionIngest(0, _SETTINGS), Tables()
    ingest.resume({**ingest.snapshot(), "latest": _NOON, "seen": _dedupe_snapshot(remembered)})
    nothing = decode_trips([], TripRules.of(_SETTINGS))
    poll = median(
        _cpu_ms(lambda: ingest.ingest([], nothing, "caught_up", (0,), tables))
        for _ in range(_REPEAT)
    )
    snapshot = median(_cpu_ms(lambda: pickle.dumps(ingest.snapshot())) for _ in range(5))
    size = f"{remembered:,} trips"
    rows += [("empty poll", size, _figure(poll)), ("dedupe snapshot", size, _figure(snapshot))]
    targets.append(Target(f"empty poll, {size} remembered, ms", poll, 1.0, most=True))


def _dedupe_snapshot(remembered: int) -> list[tuple[int, bytes]]:
    """Return the stored dedupe state of trips of three windows before NOON."""
    state, rules = EventTimeState(), LatenessRules.of(_SETTINGS)
    for trips in _trips(remembered, ids=1, per_window=remembered // 3, disorder=0):
        state = classify(trips, _NO_PUNCTUATIONS, state, rules).state
    return state.dedupe_state.snapshot()


@dataclass
class _Shard:
    """The windows of a shard of passengers, and the clock that they are emitted by."""

    now: datetime = field(default_factory=lambda: datetime(2025, 1, 1, tzinfo=UTC))
    logic: WindowLogic = field(init=False)

    def __post_init__(self) -> None:
        self.logic = WindowLogic(BY_NAME["passenger"], _SETTINGS, None, lambda: self.now)

    def take(self, rows: pl.DataFrame | None) -> None:
        """Take partial aggregates while the flow is caught up."""
        self.logic.on_batch([ShardPartial(0, (_update(0, _NOON, "caught_up", (0,)),), rows)])

    def snapshot(self) -> None:
        """Do what a worker does with the state at the end of an epoch."""
        pickle.dumps(self.logic.snapshot())

    def emit(self) -> None:
        """Emit what has changed, a second later."""
        self.now += timedelta(seconds=1)
        self.take(None)


def _measure_window_state(rows: list[Row], targets: list[Target]) -> None:
    shard, size = _Shard(), f"{_OPEN:,} windows"
    for first in range(0, _OPEN, 5 * _BATCH):
        shard.take(_partial(first, 5 * _BATCH))
    emission = _cpu_ms(shard.emit)
    first_snapshot = _cpu_ms(shard.snapshot)
    changes, snapshots = [], []
    for number in range(_REPEAT):
        grown = _partial(number * _CHANGES, _CHANGES)
        changes.append(_cpu_ms(partial(shard.take, grown)) + _cpu_ms(shard.emit))
        snapshots.append(_cpu_ms(shard.snapshot))
    rows += [
        ("all windows, emitted the first time", size, _figure(emission)),
        (f"{_CHANGES} changes, the first time", size, _figure(changes[0])),
        (f"{_CHANGES} changes", size, _figure(median(changes))),
        ("snapshot, the first time", size, _figure(first_snapshot)),
        (f"snapshot after {_CHANGES} changes", size, _figure(median(snapshots))),
    ]
    targets += [
        Target(f"{_CHANGES} changes among {size}, ms", median(changes), 20.0, most=True),
        Target(f"snapshot of {size}, ms", median(snapshots), 200.0, most=True),
    ]


def _partial(first: int, number: int) -> pl.DataFrame:
    """Return the partial aggregates of ids from `first` on, with one trip each."""
    numbers = pl.int_range(first, first + number, eager=True)
    return pl.select(
        id="passenger-" + numbers.cast(pl.String).str.zfill(8),
        window_start=_NOON + numbers // 100_000 % 3 * _WINDOW,
        trip_count=pl.lit(1),
        total_duration=numbers * 7_919 % 60_000_000,
        total_distance=numbers * 104_729 % 20_000_000,
        total_revenue=numbers * 1_299_709 % 50_000_000,
        start_time=_NOON + numbers % _WINDOW,
        last_start_time=_NOON + numbers % _WINDOW,
    ).with_columns(
        pl.col("trip_count").cast(pl.Int64),
        *((numbers % 50_000_000).alias(each.name) for each in NULLABLE),
        *(pl.lit(1, pl.Int64).alias(name) for name in COUNTS[1:]),
    )


def _measure_turns(rows: list[Row], targets: list[Target]) -> None:
    shards = [
        WindowLogic(entity, _SETTINGS, None) for entity in ENTITIES for _ in range(_SETTINGS.shards)
    ]
    partitions = tuple(range(_PARTITIONS))

    def turn(updates: tuple[WatermarkUpdate, ...]) -> float:
        def give() -> None:
            for shard in shards:
                shard.on_batch([ShardPartial(0, updates, None)])
                shard.notify_at()

        return _cpu_ms(give)

    turns: dict[str, list[float]] = {"one partition": [], "all partitions": []}
    for number in range(_REPEAT):
        times = [_NOON + number * 1_000 + partition for partition in partitions]
        updates = tuple(_update(p, times[p], "caught_up", partitions) for p in partitions)
        turns["all partitions"].append(turn(updates))
        moved = _update(number, times[number] + 500, "caught_up", partitions)
        turns["one partition"].append(turn((moved,)))
    for which, costs in turns.items():
        rows.append((f"turn, {which}", f"{_PARTITIONS} partitions", _figure(median(costs))))
        what = f"turn at {_PARTITIONS} partitions, {which}, ms"
        targets.append(Target(what, median(costs), 2.0, most=True))


def _update(
    partition: int, watermark: int | None, status: ReadStatus, partitions: tuple[int, ...]
) -> WatermarkUpdate:
    return WatermarkUpdate(partition, watermark, status, partitions)


def _catch_up(ids: int, disorder: int) -> float:
    """Return the CPU time of a trip in µs."""
    entity, shards = BY_NAME["driver"], _SETTINGS.shards
    now = datetime(2025, 1, 1, tzinfo=UTC)
    logics = [WindowLogic(entity, _SETTINGS, None, lambda: now) for _ in range(shards)]
    state, rules = EventTimeState(), LatenessRules.of(_SETTINGS)
    batches = list(_trips(max(1_000_000, 4 * ids), ids, per_window=ids, disorder=disorder))
    began = time.process_time()
    for batch in batches:
        # As many trips as one worker takes in this time.
        now += timedelta(seconds=_BATCH / 160_000)
        classified = classify(batch, _NO_PUNCTUATIONS, state, rules)
        state = classified.state
        partials = partial_totals(classified.counted.select(aggregated_columns(entity)), entity)
        parts = split_by_shard(partials, shards)
        updates = (_update(0, state.watermark(rules), "behind", (0,)),)
        for shard, logic in enumerate(logics):
            logic.on_batch([ShardPartial(shard, updates, parts.get(shard))])
    return (time.process_time() - began) / len(batches) / _BATCH * 1e6


def _trips(number: int, ids: int, per_window: int, disorder: int) -> Iterator[pl.DataFrame]:
    """Yield batches of trips, in order or up to `disorder` ms behind."""
    for first in range(0, number, _BATCH):
        numbers = pl.int_range(first, min(first + _BATCH, number), eager=True)
        # Primes scatter the ids and the delays.
        delay = numbers * 7_919 % (disorder + 1)
        amount = numbers * 104_729 % 50_000_000
        at = _NOON + numbers * _WINDOW // per_window - delay
        yield pl.select(
            row=numbers - first,
            trip_id="trip-" + numbers.cast(pl.String),
            driver_id="driver-" + (numbers * 1_299_709 % ids).cast(pl.String),
            start_time=at,
            event_time=at,
            duration=amount,
            distance=amount,
            revenue=amount,
        )


_NO_PUNCTUATIONS: Final = pl.DataFrame(schema=PUNCTUATION_SCHEMA)
