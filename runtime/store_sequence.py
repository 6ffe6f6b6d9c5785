"""Whether the stores have what the flow of a recovery folder has written to them."""

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from mobility.entities import ENTITIES
from mobility.settings import FOLLOWS, Settings, Store, written_together
from runtime.failures import RefusalError, StartError
from runtime.fencing import refusals_end_the_flow
from runtime.flows import FLOW_IDS, FlowName
from runtime.folder_record import NEW_FOLDER, FolderRecord, read_record, write_record
from runtime.recovery import delete_keys, stored_keys, stored_states
from sinks import REBUILD, SequenceNumber, StoreError, check_sequence_numbers

Known = dict[Store, dict[str, SequenceNumber]]


def check_stores(folder: Path, flow: FlowName, settings: Settings) -> None:
    """Compare the stores with the states in a locked folder; record which stores the flow has.

    Redis beside Postgres may be behind or come later: it follows. Raises RefusalError where an
    authority is behind or comes later, StartError where it does not answer.
    """
    record = read_record(folder, FolderRecord.of(flow, settings))
    if record is None:
        return
    known = _known_numbers(folder, flow, record)
    for store in _added(folder, record, settings):
        if store in settings.authorities:
            _refuse_added(folder, store)
    try:
        with refusals_end_the_flow():
            check_sequence_numbers(settings, flow, known)
    except StoreError as error:
        raise StartError(str(error)) from error
    write_record(folder, replace(record, stores=list(settings.stores)))


def forget_sequence_numbers(folder: Path, flow: FlowName, store: Store) -> None:
    """Let the next start take a store as it is: it was filled again."""
    record = read_record(folder, FolderRecord(flow, 0))
    if record is None:
        return
    keys = stored_keys(folder)
    for stores in _groups_with(store):
        for entity in ENTITIES:
            step = _step_id(flow, stores, entity.name)
            delete_keys(folder, step, keys.get(step, set()))
    attached = dict.fromkeys([*(record.stores or ()), store])
    write_record(folder, replace(record, stores=list(attached)))


def _added(folder: Path, record: FolderRecord, settings: Settings) -> list[Store]:
    """Return the stores that the last run had not, where there was one.

    Earlier releases did not record the stores: then they are taken as they are.
    """
    if record.stores is None or not stored_keys(folder):
        return []
    return [store for store in settings.stores if store not in record.stores]


def _known_numbers(folder: Path, flow: FlowName, record: FolderRecord) -> Known:
    """Return the sequence numbers in the states of the last run; the highest of all shards."""
    known: Known = {}
    for stores in written_together(record.stores or []):
        for entity in ENTITIES:
            for state in stored_states(folder, _step_id(flow, stores, entity.name)).values():
                for store, fields in (state or {}).items():
                    number = SequenceNumber(**fields)
                    of_store = known.setdefault(store, {})
                    highest = of_store.get(entity.name, number)
                    of_store[entity.name] = max(highest, number, key=lambda each: each.number)
    return known


def _groups_with(store: Store) -> list[tuple[Store, ...]]:
    """Return the groups of stores, written by one step each, that have the store."""
    pairs = [(authority, follower) for follower, authority in FOLLOWS.items()]
    return [(store,), *(pair for pair in pairs if store in pair)]


def _step_id(flow: FlowName, stores: Collection[Store], entity: str) -> str:
    return f"{FLOW_IDS[flow]}.{'_'.join(sorted(stores))}_{entity}"


def _refuse_added(folder: Path, store: Store) -> None:
    msg = (
        f"The recovery folder {folder} was used without {store}: it lacks the windows that were "
        f"written meanwhile.\n{REBUILD} {NEW_FOLDER}"
    )
    raise RefusalError(msg)
