"""The overview of the system: status records of its processes, and watermarks in the stores."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec

from api.errors import StoresUnavailableError, StoreUnavailableError
from api.queries.contract import StatusRecord
from api.queries.store_readers import StoreReaders, Watermarks
from api.status.checks import check_follower, find_problems
from api.status.extent import query_extent
from api.status.responses import (
    FlowProcess,
    RunningAudit,
    StatusProblem,
    StatusResponse,
    to_audit,
    to_process,
)
from mobility.settings import Settings
from mobility.status import AuditStatus, FlowStatus, Status, decode_status

_log: Final = logging.getLogger(__name__)


async def query_overview(readers: StoreReaders, settings: Settings) -> StatusResponse:
    """Return the overview of the whole system; raises StoresUnavailableError."""
    answer = await readers.statuses()
    watermarks = await readers.watermarks()
    lags = await readers.follower_lags()
    processes, audit = to_processes(answer.value), _find_audit(answer.value)
    known = known_watermarks(watermarks)
    if known is None:
        raise StoresUnavailableError(store_failures(watermarks))
    now = datetime.now(UTC)
    return StatusResponse(
        store=answer.store,
        as_of=dict(known),
        extent=await query_extent(readers, processes, known, now, settings),
        processes=processes,
        audit=audit,
        follower_lags=dict(lags),
        problems=[
            *_check_stores(watermarks),
            *check_follower(lags),
            *find_problems(processes, audit, known.values(), now, settings),
        ],
    )


def known_watermarks(watermarks: Watermarks) -> Mapping[str, datetime | None] | None:
    """Return the watermarks in a store that answers; None if none does.

    The last one in STORE_ORDER counts: a follower may be behind, and the flow is not for that.
    """
    return next(
        (
            found
            for found in reversed(watermarks.values())
            if not isinstance(found, StoreUnavailableError)
        ),
        None,
    )


def store_failures(watermarks: Watermarks) -> list[StoreUnavailableError]:
    """Return the failures of the stores that did not answer."""
    return [found for found in watermarks.values() if isinstance(found, StoreUnavailableError)]


def to_processes(records: Sequence[StatusRecord]) -> list[FlowProcess]:
    """Return the processes of flows among the status records."""
    return [
        to_process(record.process, record.age, status)
        for record, status in _decode(records)
        if isinstance(status, FlowStatus)
    ]


def _find_audit(records: Sequence[StatusRecord]) -> RunningAudit | None:
    audits = (
        to_audit(record.age, status)
        for record, status in _decode(records)
        if isinstance(status, AuditStatus)
    )
    return next(audits, None)


def _decode(records: Sequence[StatusRecord]) -> Iterator[tuple[StatusRecord, Status]]:
    for record in records:
        try:
            yield record, decode_status(record.record)
        except msgspec.DecodeError as error:
            _log.warning("the status of %s can't be read: %s", record.process, error)


def _check_stores(watermarks: Watermarks) -> list[StatusProblem]:
    return [
        StatusProblem(
            severity="error",
            slug="store-down",
            what=str(failure),
            do=f"Check that {failure.store} runs. Until then the other store answers, if it is "
            "configured",
        )
        for failure in store_failures(watermarks)
    ]
