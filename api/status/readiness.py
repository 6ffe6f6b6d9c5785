"""Whether the API is ready: some store answers, and the flow is not too far behind."""

from datetime import UTC, datetime

from api.queries.contract import StoreDown
from api.queries.store_readers import Readers, StoresDown
from api.representation.responses import Component
from api.status.overview import Freshness, flows, known
from mobility.settings import Settings


async def readiness(readers: Readers, settings: Settings) -> dict[str, Component]:
    """Return the components that readiness depends on; one that is `down` makes it fail.

    One store is enough: what it says stands in for the other's. A log whose lag nobody tells is
    `off`, as the age of the watermark judges a flow that does not run.
    """
    freshness = await readers.freshness()
    return {
        "stores": _stores(freshness),
        "log": await _log(readers, settings),
        "watermark": _watermark(freshness, settings, datetime.now(UTC)),
    }


def _stores(freshness: Freshness) -> Component:
    if not freshness:
        return Component(state="down", reason="are not configured: set MOBILITY_STORES")
    down = [str(found) for found in freshness.values() if isinstance(found, StoreDown)]
    if len(down) == len(freshness):
        return Component(state="down", reason=f"do not answer: {', '.join(down)}")
    return Component(state="ok", reason="; ".join(down) or None)


async def _log(readers: Readers, settings: Settings) -> Component:
    try:
        processes = flows((await readers.statuses()).value)
    except StoresDown:
        return Component(state="off", reason="is seen through the stores, and none answers")
    if not processes:
        return Component(state="off", reason="has no reader that told its lag within a minute")
    lag = sum(process.lag for process in processes)
    if settings.ready_lag and lag > settings.ready_lag:
        reason = f"has {lag:,} messages that are not read yet, and {settings.ready_lag:,} may wait"
        return Component(state="down", reason=reason)
    return Component(state="ok")


def _watermark(freshness: Freshness, settings: Settings, now: datetime) -> Component:
    as_of = known(freshness)
    if as_of is None:
        return Component(state="off", reason="is seen through the stores, and none answers")
    marks = [watermark for watermark in as_of.values() if watermark is not None]
    if not settings.ready_age or not marks:
        return Component(state="ok", as_of=dict(as_of))
    age = (now - min(marks)).total_seconds()
    if age > settings.ready_age:
        reason = f"is {age:,.0f} s old, and may be {settings.ready_age:,}"
        return Component(state="down", reason=reason, as_of=dict(as_of))
    return Component(state="ok", as_of=dict(as_of))
