"""The serving flow: windows from `aggregated.*` into the stores.

    python -m bytewax.run dataflows.serving -r DIR -s 10 -b 0

For those who want the stores decoupled from the stream processing. Versions make every delivery
idempotent, so reading a message twice changes nothing. While this flow runs, `dataflows.main`
attaches no stores: a second writer is refused by name.
"""

import bytewax.operators as op
from bytewax.dataflow import Dataflow

from broker.producer import CheckedProducer
from dataflows.aggregated_source import AggregatedSource, split_windows
from dataflows.encoders import dead_encoder
from dataflows.kafka_sink import KafkaSink
from dataflows.log_reader import LogReader
from dataflows.offset_commits import OffsetCommits
from dataflows.partition_reader import Batch
from dataflows.stores import sink_context, store_sinks
from mobility.entities import ENTITIES
from mobility.topics import aggregated_topic
from runtime.process import FlowContext, start_process
from runtime.signals import stop_requested


def build(context: FlowContext) -> Dataflow:
    """Return the flow; nothing is connected before it runs."""
    settings = context.settings
    producer = CheckedProducer(
        settings, "mobility-serving", stop_requested=stop_requested, logs=True
    )
    shared_by_stores = sink_context(context.reporter, stop_requested)
    # Windows are decoded by the workers: a batch of them has one entity.
    log = LogReader[Batch](settings, list)
    commits = OffsetCommits(settings, "serving", context.recovery.folder)
    flow = Dataflow("mobility_serving")
    for entity in ENTITIES:
        metrics = context.metrics[aggregated_topic(settings, entity)]
        source = AggregatedSource(
            settings, entity, log, commits, metrics, stop_requested, context.recovery
        )
        batches = op.input(f"aggregated_{entity.name}", flow, source)
        outputs = split_windows(entity, batches, settings)
        dead = KafkaSink(settings, producer, dead_encoder(settings))
        op.output(f"dlq_{entity.name}", outputs.dead, dead)
        for stores, sink in store_sinks(settings, entity, "serving", shared_by_stores):
            op.output(f"{stores}_{entity.name}", outputs.windows, sink)
    return flow


flow = build(start_process("serving"))
