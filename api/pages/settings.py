"""`/page-settings`: the settings that pages need."""

import msgspec
from litestar import get
from litestar.di import NamedDependency

from mobility.settings import Settings


class PageSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Durations of the flow in seconds; tiles as a URL template with {z}, {x} and {y}.

    The time zone is a name of the IANA database.
    """

    window: int
    allowed_lateness: int
    out_of_orderness: int
    timezone: str
    tiles: str | None
    tiles_credit: str | None


@get("/page-settings", include_in_schema=False)
async def page_settings(settings: NamedDependency[Settings]) -> PageSettings:
    """Return the settings that pages need; none of them is secret."""
    return PageSettings(
        window=settings.window,
        allowed_lateness=settings.allowed_lateness,
        out_of_orderness=settings.out_of_orderness,
        timezone=settings.timezone,
        tiles=settings.map_tiles,
        tiles_credit=settings.map_credit,
    )
