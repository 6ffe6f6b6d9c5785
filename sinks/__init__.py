"""Stores of windows and running totals, and the Bytewax sinks that write to them.

for name, sink in store_sinks(settings, entity, "main"):
    op.output(f"{name}_{entity.name}", updates, sink)
"""

from sinks.connecting import connect_authority
from sinks.fencing import is_fenced, take_fencing_token
from sinks.ledger_maintenance import LedgerMaintenance
from sinks.sequence_numbers import check_sequence_numbers
from sinks.status import StatusPublisher
from sinks.store import REBUILD, SequenceNumber, StoreError, StoreRefusedError
from sinks.store_sink import SinkContext, StoreSink, store_sinks

__all__ = [
    "REBUILD",
    "LedgerMaintenance",
    "SequenceNumber",
    "SinkContext",
    "StatusPublisher",
    "StoreError",
    "StoreRefusedError",
    "StoreSink",
    "check_sequence_numbers",
    "connect_authority",
    "is_fenced",
    "store_sinks",
    "take_fencing_token",
]
