"""Stores that keep windows and running totals, and the sinks that feed them.

for name, sink in store_sinks(settings, entity, "main"):
    op.output(f"{name}_{entity.name}", updates, sink)
"""

from sinks.fencing import take_fence
from sinks.status import Teller
from sinks.store import StoreError, StoreRefusedError
from sinks.store_pair import connect_stores
from sinks.store_sink import StoreSink, store_sinks

__all__ = [
    "StoreError",
    "StoreRefusedError",
    "StoreSink",
    "Teller",
    "connect_stores",
    "store_sinks",
    "take_fence",
]
