"""The standalone flow: windows from `aggregated.*` into the stores.

    python -m bytewax.run dataflows.serving -r DIR -s 10 -b 0

For those who want the stores decoupled from the stream processing. Versions make every delivery
idempotent, so reading a message twice changes nothing. While this flow runs, `dataflows.main`
attaches no stores: a second writer is refused by name.
"""

import bytewax.operators as op
from bytewax.dataflow import Dataflow

from dataflows.aggregated_source import AggregatedSource, told_apart
from dataflows.encoding import dead_encoder
from dataflows.kafka_sink import Deliveries, KafkaSink
from dataflows.recovery import NO_PAST, Past
from dataflows.starting import started
from dataflows.stopping import stop_requested
from dataflows.stores import attached
from mobility.entities import ENTITIES
from mobility.settings import Settings


def build(settings: Settings, past: Past = NO_PAST) -> Dataflow:
    """Return the flow; nothing is connected before it runs."""
    deliveries = Deliveries(settings)
    flow = Dataflow("mobility_serving")
    for entity in ENTITIES:
        source = AggregatedSource(settings, entity, stop_requested, past)
        branches = told_apart(entity, op.input(f"aggregated_{entity.name}", flow, source), settings)
        dead = KafkaSink(settings, deliveries, dead_encoder(settings))
        op.output(f"dlq_{entity.name}", branches.dead, dead)
        for stores, sink in attached(settings, entity, writer="serving"):
            op.output(f"{stores}_{entity.name}", branches.windows, sink)
    return flow


flow = build(*started("serving"))
