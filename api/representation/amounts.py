"""From exact sums in millionths to what is shown: the nearest double of each sum and mean."""

from typing import Any, Final

from api.queries.contract import Sums
from mobility.records import MICRO

NAMES: Final = ("trip_count", "total_duration", "total_distance", "total_revenue")
"""The sums, in the order in which the stores give them."""


def shown_sums(sums: Sums) -> dict[str, Any]:
    """Return the fields of `answers.Sums`, in units."""
    return {
        "trip_count": sums.trip_count,
        "total_duration": sums.total_duration / MICRO,
        "total_distance": sums.total_distance / MICRO,
        "total_revenue": sums.total_revenue / MICRO,
    }


def shown(sums: Sums) -> dict[str, Any]:
    """Return the fields of `answers.Amounts`: sums in units, and the means of a trip."""
    # An integer divided by an integer is the nearest double, of a mean as of a sum.
    of_all = sums.trip_count * MICRO
    return {
        **shown_sums(sums),
        "avg_duration": sums.total_duration / of_all if of_all else 0.0,
        "avg_distance": sums.total_distance / of_all if of_all else 0.0,
        "avg_revenue": sums.total_revenue / of_all if of_all else 0.0,
    }


def part_of(sums: Sums, total: Sums, name: str) -> float | None:
    """Return the share of a total, None where that is 0."""
    whole: int = getattr(total, name)
    return getattr(sums, name) / whole if whole else None
