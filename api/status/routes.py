"""`/status`, and whether this process lives and is ready to be asked."""

from typing import Final

from litestar import get
from litestar.di import NamedDependency

from api.access.authentication import OPEN
from api.queries.store_readers import Readers
from api.representation.problems import unavailable
from api.representation.responses import Component, Health
from api.status.overview import overview
from api.status.readiness import readiness
from api.status.responses import Overview
from mobility.settings import Settings

_OPEN: Final = {OPEN: True}
"""Whoever watches over the process needs no token."""


@get("/status")
async def status(
    readers: NamedDependency[Readers], settings: NamedDependency[Settings]
) -> Overview:
    """Return what the flow and the audit say of themselves, and what is wrong."""
    return await overview(readers, settings)


@get("/health/live", opt=_OPEN)
async def live() -> Health:
    """Say that this process answers; no store is asked."""
    return Health(components={"api": Component(state="ok")})


@get("/health/ready", opt=_OPEN)
async def ready(readers: NamedDependency[Readers], settings: NamedDependency[Settings]) -> Health:
    """Return whether answers can be had and are fresh enough; otherwise 503 says what is not."""
    components = await readiness(readers, settings)
    required = {name: found for name, found in components.items() if found.state == "down"}
    if required:
        reasons = [f"{name} {found.reason}" for name, found in required.items()]
        raise unavailable("; ".join(reasons), components=components)
    return Health(components=components)
