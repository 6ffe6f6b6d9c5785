"""Side outputs of ingest: enriched trips, late trips, dead letters and watermarks."""

from collections.abc import Iterator
from dataclasses import dataclass

import bytewax.operators as op
from bytewax.dataflow import Stream
from bytewax.operators import KeyedStream

from dataflows.items import EnrichedTrips, IngestedBatch, SourceRecords, WatermarkUpdate
from dataflows.kafka_sink import shard_key
from mobility.entities import ENTITIES
from mobility.settings import Settings


@dataclass(frozen=True, slots=True)
class SideOutputs:
    """The side outputs as streams keyed for the sinks."""

    enriched: KeyedStream[EnrichedTrips]
    late: KeyedStream[SourceRecords]
    dead: KeyedStream[SourceRecords]
    watermarks: KeyedStream[WatermarkUpdate]


def split_outputs(batches: Stream[IngestedBatch], settings: Settings) -> SideOutputs:
    """Return the side outputs of ingested batches, each without empty items.

    Names of steps are stored in recovery state; `heard` is the one of the watermarks.
    """

    def key(batch: IngestedBatch) -> str:
        return shard_key(batch.update.partition % settings.shards)

    def enriched(batch: IngestedBatch) -> Iterator[tuple[str, EnrichedTrips]]:
        if settings.enriched and batch.trips.height:
            columns = ["json", *(entity.id_column for entity in ENTITIES)]
            yield key(batch), EnrichedTrips(batch.trips.select(columns))

    def late(batch: IngestedBatch) -> Iterator[tuple[str, SourceRecords]]:
        if batch.late.offsets:
            yield key(batch), batch.late

    def dead(batch: IngestedBatch) -> Iterator[tuple[str, SourceRecords]]:
        if batch.dead.offsets:
            yield key(batch), batch.dead

    return SideOutputs(
        enriched=op.flat_map("enriched", batches, enriched),
        late=op.flat_map("late", batches, late),
        dead=op.flat_map("dead", batches, dead),
        watermarks=op.map("heard", batches, lambda batch: (shard_key(0), batch.update)),
    )
