"""`/status`, `/health`, and the probes `/health/live` and `/health/ready`."""

from typing import Final

from litestar import get
from litestar.di import NamedDependency

from api.access.authentication import PUBLIC
from api.queries.store_readers import StoreReaders
from api.representation.problems import unavailable
from api.status.health import health_components, readiness_components
from api.status.overview import query_overview, store_failures
from api.status.responses import ComponentHealth, HealthResponse, StatusResponse
from mobility.settings import Settings

_PUBLIC: Final = {PUBLIC: True}
"""Probes have no token."""


@get("/status")
async def status(
    readers: NamedDependency[StoreReaders], settings: NamedDependency[Settings]
) -> StatusResponse:
    """Return the status of the flow and the audit, and the problems that checks find."""
    return await query_overview(readers, settings)


@get("/health", opt=_PUBLIC)
async def health(readers: NamedDependency[StoreReaders]) -> HealthResponse:
    """Return the state of each component; 503 if a configured store is down."""
    watermarks = await readers.watermarks()
    components = health_components(watermarks, await readers.follower_lags())
    failures = store_failures(watermarks)
    if failures:
        raise unavailable("; ".join(map(str, failures)), components=components)
    return HealthResponse(components=components)


@get("/health/live", opt=_PUBLIC)
async def live() -> HealthResponse:
    """Return that this process answers; it queries no store."""
    return HealthResponse(components={"api": ComponentHealth(state="ok")})


@get("/health/ready", opt=_PUBLIC)
async def ready(
    readers: NamedDependency[StoreReaders], settings: NamedDependency[Settings]
) -> HealthResponse:
    """Return the components of readiness; 503 if one of them is down."""
    components = await readiness_components(readers, settings)
    down = [f"{name} {found.reason}" for name, found in components.items() if found.state == "down"]
    if down:
        raise unavailable("; ".join(down), components=components)
    return HealthResponse(components=components)
