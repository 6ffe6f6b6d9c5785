"""Puts together what the stores and the processes say."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec

from api.queries.contract import StoreDown, Told
from api.queries.store_readers import Readers, StoresDown
from api.status.checks import concerns
from api.status.responses import Audit, Concern, Overview, Process, audit_of, process_of
from mobility.settings import Settings, Store
from mobility.status import AuditStatus, FlowStatus, Status, decode_status

_log: Final = logging.getLogger(__name__)

Freshness = Mapping[Store, Mapping[str, datetime | None] | StoreDown]


async def overview(readers: Readers, settings: Settings) -> Overview:
    """Return the whole system as its processes describe it; raises StoresDown."""
    answer = await readers.statuses()
    freshness = await readers.freshness()
    processes, audit = flows(answer.value), audit_in(answer.value)
    as_of = known(freshness)
    if as_of is None:
        raise StoresDown(found for found in freshness.values() if isinstance(found, StoreDown))
    now = datetime.now(UTC)
    return Overview(
        store=answer.store,
        as_of=dict(as_of),
        processes=processes,
        audit=audit,
        problems=[
            *_of_stores(freshness),
            *concerns(processes, audit, as_of.values(), now, settings),
        ],
    )


def known(freshness: Freshness) -> Mapping[str, datetime | None] | None:
    """Return the watermarks by the first store that knows them; None where none answers."""
    return next((found for found in freshness.values() if not isinstance(found, StoreDown)), None)


def flows(statuses: Sequence[Told]) -> list[Process]:
    """Return the processes of flows."""
    return [
        process_of(told.process, told.age, said)
        for told, said in _read(statuses)
        if isinstance(said, FlowStatus)
    ]


def audit_in(statuses: Sequence[Told]) -> Audit | None:
    """Return the running audit, if one has spoken."""
    said = [(told, said) for told, said in _read(statuses) if isinstance(said, AuditStatus)]
    return audit_of(said[0][0].age, said[0][1]) if said else None


def _read(statuses: Sequence[Told]) -> Iterator[tuple[Told, Status]]:
    for told in statuses:
        try:
            yield told, decode_status(told.record)
        except msgspec.DecodeError as error:
            _log.warning("the status of %s can't be read: %s", told.process, error)


def _of_stores(freshness: Freshness) -> list[Concern]:
    return [
        Concern(
            severity="error",
            slug="store-down",
            what=str(found),
            do=f"See whether {store} runs; the other store answers meanwhile, where there is one",
        )
        for store, found in freshness.items()
        if isinstance(found, StoreDown)
    ]
