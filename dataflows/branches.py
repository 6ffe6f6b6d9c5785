"""The branches of the flow: how a batch is told apart, and summed for each entity."""

from collections.abc import Iterator
from dataclasses import dataclass

import bytewax.operators as op
import polars as pl
from bytewax.dataflow import Stream
from bytewax.operators import KeyedStream

from dataflows.items import Enriched, Heard, Intake, Positioned, Punctuation, ShardPartial
from dataflows.kafka_sink import shard_key
from dataflows.quiet import quiet_logic
from dataflows.windows import window_logic
from mobility.entities import ENTITIES, Entity
from mobility.records import WindowUpdate
from mobility.settings import Settings
from mobility.totals import SUMMED, by_shard, partial_totals


@dataclass(frozen=True, slots=True)
class Branches:
    """What a batch of the log consists of, as streams keyed for the sinks."""

    enriched: KeyedStream[Enriched]
    late: KeyedStream[Positioned]
    dead: KeyedStream[Positioned]
    heard: KeyedStream[Heard]


def told_apart(intakes: Stream[Intake], settings: Settings) -> Branches:
    """Return the branches that leave the main road, each without empty batches."""

    def key(intake: Intake) -> str:
        return shard_key(intake.heard.partition % settings.shards)

    def enriched(intake: Intake) -> Iterator[tuple[str, Enriched]]:
        if settings.enriched and intake.counted.height:
            columns = ["json", *(entity.id_column for entity in ENTITIES)]
            yield key(intake), Enriched(intake.counted.select(columns))

    def late(intake: Intake) -> Iterator[tuple[str, Positioned]]:
        if intake.late.offsets:
            yield key(intake), intake.late

    def dead(intake: Intake) -> Iterator[tuple[str, Positioned]]:
        if intake.dead.offsets:
            yield key(intake), intake.dead

    return Branches(
        enriched=op.flat_map("enriched", intakes, enriched),
        late=op.flat_map("late", intakes, late),
        dead=op.flat_map("dead", intakes, dead),
        heard=op.map("heard", intakes, lambda intake: (shard_key(0), intake.heard)),
    )


def windowed(
    entity: Entity, intakes: Stream[Intake], settings: Settings
) -> KeyedStream[WindowUpdate]:
    """Return an entity's windows, keyed by shard: partial sums first, then their state.

    Every shard hears of every batch, also without rows for it, for the sake of the watermark. What
    all partitions have brought in one turn is summed at once, as each call has a price of its own.
    """

    def partials(turn: list[Intake]) -> Iterator[tuple[str, ShardPartial]]:
        heard = tuple(intake.heard for intake in turn)
        counted = pl.concat([intake.counted.select(columns) for intake in turn])
        rows = by_shard(partial_totals(counted, entity), settings.shards)
        for shard in range(settings.shards):
            yield shard_key(shard), ShardPartial(shard, heard, rows.get(shard))

    columns = [entity.id_column, *SUMMED]
    sums = op.flat_map_batch(f"{entity.name}_partials", intakes, partials)
    return op.stateful_batch(f"{entity.name}_windows", sums, window_logic(entity, settings))


def quieted(heard: KeyedStream[Heard], settings: Settings) -> KeyedStream[Punctuation]:
    """Return punctuations for partitions that have been quiet for long."""
    return op.stateful_batch("quiet", heard, quiet_logic(settings))
