"""Time zones by their names in the IANA database."""

from collections.abc import Iterator
from difflib import get_close_matches
from functools import cache
from typing import Final
from zoneinfo import available_timezones

_SHOWN: Final = 3
_EXAMPLES: Final = "America/New_York or UTC"


@cache
def zone_names() -> frozenset[str]:
    """Return the names of all time zones."""
    return frozenset(available_timezones())


def zone_fault(name: str) -> str | None:
    """Return which names were expected, those nearest to this one; None if it is a time zone.

    >>> zone_fault("New York")
    'expected a name such as America/New_York'
    >>> zone_fault("Middle-earth")
    'expected a name such as America/New_York or UTC'
    >>> zone_fault("Europe/Berlin")
    """
    if name in zone_names():
        return None
    return f"expected a name such as {', '.join(_nearest_names(name)) or _EXAMPLES}"


def _nearest_names(name: str) -> Iterator[str]:
    """Yield names that are spelled like a name, or whose city is."""
    zones: dict[str, dict[str, None]] = {}
    for zone in sorted(zone_names()):
        for spelling in (zone, zone.rpartition("/")[2]):
            zones.setdefault(_plain(spelling), {})[zone] = None
    found = get_close_matches(_plain(name), zones, _SHOWN, cutoff=0.75)
    unique = dict.fromkeys(zone for spelling in found for zone in zones[spelling])
    yield from list(unique)[:_SHOWN]


def _plain(name: str) -> str:
    return name.casefold().replace(" ", "").replace("_", "")
