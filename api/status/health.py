"""Health and readiness: the states of the stores, and of the flow as the stores show it."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from api.errors import StoresUnavailableError, StoreUnavailableError
from api.queries.sequence_number_poller import FollowerLags
from api.queries.store_readers import STORE_ORDER, StoreReaders, Watermarks
from api.status.checks import describe_lags
from api.status.overview import known_watermarks, store_failures, to_processes
from api.status.responses import ComponentHealth, State
from mobility.settings import Settings, Store

EntityWatermarks = Mapping[str, datetime | None]

_NO_STORE: Final = "is not known, as no store answers"


def health_components(watermarks: Watermarks, lags: FollowerLags) -> dict[str, ComponentHealth]:
    """Return the state of each store, and of the flow. A follower may be behind."""
    components: dict[str, ComponentHealth] = {}
    for store in STORE_ORDER:
        found = watermarks.get(store)
        if found is None:
            components[store] = ComponentHealth(state="off")
        elif isinstance(found, StoreUnavailableError):
            components[store] = ComponentHealth(state="down", reason=found.reason)
        else:
            reason = describe_lags(lags) if store == "redis" else None
            components[store] = ComponentHealth(state="ok", reason=reason)
    components["flow"] = (
        _check_watermarks(watermarks, _find_missing, without_store="down")
        if watermarks
        else ComponentHealth(state="off")
    )
    return components


async def readiness_components(
    readers: StoreReaders, settings: Settings
) -> dict[str, ComponentHealth]:
    """Return the components that readiness depends on; it fails if one of them is `down`.

    One store is enough. A log whose lag no process reports is `off`: a flow that does not run shows
    by the age of the watermark.
    """
    watermarks = await readers.watermarks()
    now = datetime.now(UTC)

    def find_old(known: EntityWatermarks) -> str | None:
        times = [watermark for watermark in known.values() if watermark is not None]
        if not settings.ready_age or not times:
            return None
        age = (now - min(times)).total_seconds()
        if age <= settings.ready_age:
            return None
        return f"is {age:,.0f} s old; the limit is {settings.ready_age:,} s"

    return {
        "stores": _check_stores(watermarks, await readers.follower_lags(), readers.unread),
        "log": await _check_lag(readers, settings),
        "watermark": _check_watermarks(watermarks, find_old, without_store="off"),
    }


def _check_watermarks(
    watermarks: Watermarks,
    find_fault: Callable[[EntityWatermarks], str | None],
    *,
    without_store: State,
) -> ComponentHealth:
    """Return the state of the flow by the watermarks that are known."""
    known = known_watermarks(watermarks)
    if known is None:
        return ComponentHealth(state=without_store, reason=_NO_STORE)
    fault = find_fault(known)
    return ComponentHealth(state="down" if fault else "ok", reason=fault, as_of=dict(known))


def _find_missing(known: EntityWatermarks) -> str | None:
    missing = [name for name, watermark in known.items() if watermark is None]
    return f"has not reported a watermark of {', '.join(missing)}" if missing else None


def _check_stores(
    watermarks: Watermarks, lags: FollowerLags, unread: Sequence[Store]
) -> ComponentHealth:
    if unread:
        names = ", ".join(unread)
        return ComponentHealth(state="down", reason=f"are {names} only, which the API can't read")
    if not watermarks:
        return ComponentHealth(state="down", reason="are not configured: set MOBILITY_STORES")
    failures = [str(failure) for failure in store_failures(watermarks)]
    if len(failures) == len(watermarks):
        return ComponentHealth(state="down", reason=f"do not answer: {', '.join(failures)}")
    if (lag := describe_lags(lags)) is not None:
        failures.append(f"redis {lag}")
    return ComponentHealth(state="ok", reason="; ".join(failures) or None)


async def _check_lag(readers: StoreReaders, settings: Settings) -> ComponentHealth:
    try:
        processes = to_processes((await readers.statuses()).value)
    except StoresUnavailableError:
        return ComponentHealth(state="off", reason=_NO_STORE)
    if not processes:
        return ComponentHealth(
            state="off", reason="has no process that reported its lag for a minute"
        )
    lag = sum(process.lag for process in processes)
    if settings.ready_lag and lag > settings.ready_lag:
        reason = f"has {lag:,} unread messages; the limit is {settings.ready_lag:,}"
        return ComponentHealth(state="down", reason=reason)
    return ComponentHealth(state="ok")
