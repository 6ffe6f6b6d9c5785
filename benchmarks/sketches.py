"""What optional measures (MOBILITY_MEASURES) cost a trip, from partial aggregates to messages."""

import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Final

import msgspec
import polars as pl

from benchmarks.benchmark_run import BenchmarkRun
from benchmarks.section import Section
from dataflows.encoders import windows_encoder
from dataflows.items import ShardPartial, WatermarkUpdate
from dataflows.windows import WindowLogic
from mobility.entities import ENTITIES, Entity
from mobility.settings import Settings
from mobility.sketched_measures import SKETCH_BY_NAME, sketches_of
from mobility.totals import aggregated_columns, partial_totals, split_by_shard

_NOON: Final = 1_735_732_800_000
_TRIPS: Final = 400_000
_BATCH: Final = 20_000
_IDS: Final = {"driver_id": 5_000, "passenger_id": 50_000, "vehicle_type": 4, "h3_region": 2_000}
_PER_WINDOW: Final = 20_000

_TEXT: Final = (
    f"CPU time of partial aggregates, window state and JSON of all entities, of {_TRIPS:,} trips "
    f"in batches of {_BATCH:,}, by that without optional measures: the median of pairs, one after "
    f"the other. A window has {_PER_WINDOW:,} trips, of up to {_IDS['driver_id']:,} drivers, "
    f"{_IDS['passenger_id']:,} passengers, {_IDS['h3_region']:,} cells and {_IDS['vehicle_type']} "
    "vehicle types. Bytes are those of the messages. Reading, enrichment and Kafka come on top."
)


def measure(benchmark: BenchmarkRun) -> Section:
    """Aggregate the same trips with each optional measure, with all, and without any, in turn."""
    batches = list(_batches())
    rows = [("none", *_row([1.0], *zip(_cost((), batches), strict=True)))]
    chosen = {**{name: (name,) for name in SKETCH_BY_NAME}, "all": tuple(SKETCH_BY_NAME)}
    for name, measures in chosen.items():
        with benchmark.runner.step(f"sketches: {name}"):
            pairs = [
                (_cost(measures, batches), _cost((), batches)) for _ in range(benchmark.repeat)
            ]
        ratios = [own[0] / plain[0] for own, plain in pairs]
        rows.append((name, *_row(ratios, *zip(*(own for own, _ in pairs), strict=True))))
    headings = ("MOBILITY_MEASURES", "CPU each, µs", "/ none", "bytes each")
    return Section("sketches", "Optional measures", _TEXT, headings=headings, rows=tuple(rows))


def _row(
    ratios: Sequence[float], seconds: Sequence[float], sizes: Sequence[float]
) -> tuple[str, ...]:
    micros = median(seconds) / _TRIPS * 1e6
    return f"{micros:.2f}", f"{median(ratios):.2f}", f"{median(sizes) / _TRIPS:,.0f}"


def _cost(measures: tuple[str, ...], batches: Sequence[pl.DataFrame]) -> tuple[float, float]:
    """Return the CPU seconds of all threads, and the bytes of all messages."""
    settings = msgspec.structs.replace(Settings(), measures=measures)
    began = time.process_time()
    size = sum(_run(entity, settings, batches) for entity in ENTITIES)
    return time.process_time() - began, size


def _run(entity: Entity, settings: Settings, batches: Sequence[pl.DataFrame]) -> int:
    """Aggregate batches of one entity in a catch-up; return the bytes of its messages."""
    now = datetime(2025, 1, 1, tzinfo=UTC)
    logics = [WindowLogic(entity, settings, None, lambda: now) for _ in range(settings.shards)]
    sketches, encode = sketches_of(entity, settings.measures), windows_encoder(settings, entity)
    columns, size = aggregated_columns(entity, sketches), 0
    for batch in batches:
        now += timedelta(seconds=1)
        partials = partial_totals(batch.select(columns), entity, sketches)
        parts = split_by_shard(partials, settings.shards)
        watermark = batch["start_time"].item(-1)
        update = WatermarkUpdate(0, watermark, "behind", (0,))
        for shard, logic in enumerate(logics):
            emitted, _ = logic.on_batch([ShardPartial(shard, (update,), parts.get(shard))])
            for windows in emitted:
                size += sum(int(each.values.str.len_bytes().sum()) for each in encode(windows))
    return size


def _batches() -> Iterator[pl.DataFrame]:
    """Yield trips in the order of their start; primes scatter ids and amounts."""
    window = Settings().window_ms
    for first in range(0, _TRIPS, _BATCH):
        numbers = pl.int_range(first, first + _BATCH, eager=True)
        start = _NOON + numbers * window // _PER_WINDOW
        amount = (1 + numbers * 104_729 % 1_000) ** 2 * 100
        ids = [
            pl.format("{}-{}", pl.lit(name), numbers * 1_299_709 // 7 % number).alias(name)
            for name, number in _IDS.items()
        ]
        yield pl.select(
            *ids,
            start_time=start,
            window_start=start // window * window,
            duration=amount,
            distance=amount,
            revenue=amount,
        )
