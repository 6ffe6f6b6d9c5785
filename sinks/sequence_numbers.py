"""The sequence numbers of the stores, compared with those that a flow has in its snapshots.

A store that was emptied, or replaced by an earlier copy, lacks windows that the flow will not send
again. So a start compares them before it reads anything. While a flow runs, its transactions do
(see `SequenceNumber`).
"""

from collections.abc import Mapping

from mobility.settings import Settings, Store
from sinks.registry import store_kind
from sinks.store import SequenceNumber, WriterRole

Known = Mapping[Store, Mapping[str, SequenceNumber]]
"""The sequence numbers that snapshots have, by store and name of an entity."""


def check_sequence_numbers(settings: Settings, writer: WriterRole, known: Known) -> None:
    """Raise StoreBehindError where an authority lacks what it was given.

    A follower finds out by itself what it lacks. Raises StoreError where a store does not answer.
    """
    for store in settings.authorities:
        if (sequence_numbers := known.get(store)) is not None:
            store_kind(store).check_sequence_numbers(settings, writer, sequence_numbers)
