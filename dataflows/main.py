"""The flow: trips in, windows out.

    python -m bytewax.run dataflows.main -r DIR -s 10 -b 0

In the source (dataflows/source.py) a thread fetches and decodes messages for all partitions
(fetch_loop.py, trip_decoder.py), and each partition classifies, deduplicates and enriches its trips
(ingest.py): the offset and the trips that were counted before it must be one state. The other steps
split its batches into outputs, aggregate them to windows, and write.

Delivery: exactly once into windows and stores with recovery (`-r`), at least once into topics.
Names of steps are stored in recovery state: a renamed step starts with nothing.
"""

import bytewax.operators as op
from bytewax.dataflow import Dataflow

from broker.producer import CheckedProducer
from dataflows.alignment import WatermarkAlignment
from dataflows.encoders import (
    dead_encoder,
    enriched_encoder,
    late_encoder,
    punctuation_encoder,
    windows_encoder,
)
from dataflows.idle_punctuator import DeniedPunctuations, punctuate_idle
from dataflows.kafka_sink import KafkaSink, SentWindowsRecorder
from dataflows.offset_commits import OffsetCommits
from dataflows.side_outputs import split_outputs
from dataflows.source import TripSource
from dataflows.stores import sink_context, store_sinks
from dataflows.windows import aggregate_windows
from mobility.entities import ENTITIES
from mobility.topics import trips_topic
from runtime.process import FlowContext, start_process
from runtime.signals import stop_requested


def build(context: FlowContext) -> Dataflow:
    """Return the flow; nothing is connected before it runs."""
    settings, metrics = context.settings, context.metrics[trips_topic(context.settings)]
    denied_punctuations = DeniedPunctuations(settings, metrics)
    producer = CheckedProducer(
        settings,
        "mobility-flow",
        tolerates=denied_punctuations,
        stop_requested=stop_requested,
        logs=True,
    )
    store_context = sink_context(context.reporter, stop_requested)

    flow = Dataflow("mobility_hub")
    alignment = WatermarkAlignment(settings.alignment * 1_000)
    commits = OffsetCommits(settings, "main", context.recovery.folder)
    source = TripSource(settings, alignment, commits, metrics, stop_requested, context.recovery)
    batches = op.input("trips_stream", flow, source)
    side = split_outputs(batches, settings)
    punctuations = punctuate_idle(side.watermarks, settings)

    op.output("trips_late", side.late, KafkaSink(settings, producer, late_encoder(settings)))
    op.output("trips_dlq", side.dead, KafkaSink(settings, producer, dead_encoder(settings)))
    punctuation_sink = KafkaSink(settings, producer, punctuation_encoder(settings))
    op.output("punctuations", punctuations, punctuation_sink)

    for entity in ENTITIES:
        if entity.name in settings.enriched:
            enriched = KafkaSink(settings, producer, enriched_encoder(settings, entity))
            op.output(f"enriched_{entity.name}", side.enriched, enriched)

        since = context.recovery.counted_since.get(entity.name)
        windows = aggregate_windows(entity, batches, settings, since, alignment.update_all)
        encode, recorder = windows_encoder(settings, entity), SentWindowsRecorder(metrics)
        aggregated = KafkaSink(settings, producer, encode, recorder)
        op.output(f"aggregated_{entity.name}", windows, aggregated)
        for step, sink in store_sinks(settings, entity, "main", store_context):
            op.output(f"{step}_{entity.name}", windows, sink)
    return flow


flow = build(start_process("main"))
