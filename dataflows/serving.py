"""The standalone flow: windows from `aggregated.*` into the stores.

    python -m bytewax.run dataflows.serving -r DIR -s 10 -b 0

For those who want the stores decoupled from the stream processing. Versions make every delivery
idempotent, so reading a message twice changes nothing. While this flow runs, `dataflows.main`
attaches no stores: a second writer is refused by name.
"""

import bytewax.operators as op
from bytewax.dataflow import Dataflow

from dataflows.account import Account
from dataflows.aggregated_source import AggregatedSource, told_apart
from dataflows.board import Board
from dataflows.deliveries import Deliveries
from dataflows.encoding import dead_encoder
from dataflows.kafka_sink import KafkaSink
from dataflows.recovery import NO_PAST, Past
from dataflows.starting import process_number, start_services, started
from dataflows.stopping import stop_requested
from dataflows.stores import sink_context, status_publisher, store_sinks
from mobility.entities import ENTITIES
from mobility.settings import Settings
from mobility.topics import aggregated_topic


def build(settings: Settings, past: Past = NO_PAST) -> Dataflow:
    """Return the flow, which connects to nothing before it runs.

    In a process of the flow it also starts the services of this process: see `start_services`.
    """
    deliveries = Deliveries(settings)
    process = process_number()
    boards = {
        aggregated_topic(settings, e): Board(settings.alignment * 1_000, process) for e in ENTITIES
    }
    account = Account("serving", process, boards)
    context = sink_context(account, stop_requested)
    start_services(status_publisher(settings, account).start)
    flow = Dataflow("mobility_serving")
    for entity in ENTITIES:
        board = boards[aggregated_topic(settings, entity)]
        source = AggregatedSource(settings, entity, board, stop_requested, past)
        branches = told_apart(entity, op.input(f"aggregated_{entity.name}", flow, source), settings)
        dead = KafkaSink(settings, deliveries, dead_encoder(settings))
        op.output(f"dlq_{entity.name}", branches.dead, dead)
        for stores, sink in store_sinks(settings, entity, "serving", context):
            op.output(f"{stores}_{entity.name}", branches.windows, sink)
    return flow


flow = build(*started("serving"))
