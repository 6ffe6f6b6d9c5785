"""The flow: trips in, windows out.

    python -m bytewax.run dataflows.main -r DIR -s 10 -b 0

Delivery: exactly once into windows and stores with recovery (`-r`), at least once into topics.
Step names are stored in recovery state: a renamed step begins with nothing.
"""

from pathlib import Path

import bytewax.operators as op
from bytewax.dataflow import Dataflow

from dataflows.account import Account
from dataflows.board import Board
from dataflows.branches import quieted, told_apart, windowed
from dataflows.deliveries import Deliveries
from dataflows.encoding import (
    dead_encoder,
    enriched_encoder,
    late_encoder,
    punctuation_encoder,
    windows_encoder,
)
from dataflows.kafka_sink import KafkaSink
from dataflows.recovery import NO_PAST, Past
from dataflows.source import TripSource
from dataflows.starting import process_number, start_services, started
from dataflows.stopping import stop_requested
from dataflows.stores import sink_context, status_publisher, store_sinks
from mobility.entities import ENTITIES
from mobility.settings import Settings
from mobility.topics import trips_topic


def build(settings: Settings, past: Past = NO_PAST) -> Dataflow:
    """Return the flow, which connects to nothing before it runs.

    In a process of the flow it also starts the services of this process: see `start_services`.
    """
    folder = None if settings.status_dir is None else Path(settings.status_dir)
    board = Board(settings.alignment * 1_000, process_number(), folder)
    account = Account("main", board.process, {trips_topic(settings): board})
    deliveries, context = Deliveries(settings, board), sink_context(account, stop_requested)
    start_services(status_publisher(settings, account).start)

    flow = Dataflow("mobility_hub")
    intakes = op.input("trips_stream", flow, TripSource(settings, board, stop_requested, past))
    branches = told_apart(intakes, settings)
    quiet = quieted(branches.heard, settings)

    op.output("trips_late", branches.late, KafkaSink(settings, deliveries, late_encoder(settings)))
    op.output("trips_dlq", branches.dead, KafkaSink(settings, deliveries, dead_encoder(settings)))
    op.output("punctuations", quiet, KafkaSink(settings, deliveries, punctuation_encoder(settings)))

    for entity in ENTITIES:
        if entity.name in settings.enriched:
            enriched = KafkaSink(settings, deliveries, enriched_encoder(settings, entity))
            op.output(f"enriched_{entity.name}", branches.enriched, enriched)

        windows = windowed(entity, intakes, settings)
        aggregated = KafkaSink(settings, deliveries, windows_encoder(settings, entity, board))
        op.output(f"aggregated_{entity.name}", windows, aggregated)
        for stores, sink in store_sinks(settings, entity, "main", context):
            op.output(f"{stores}_{entity.name}", windows, sink)
    return flow


flow = build(*started("main"))
