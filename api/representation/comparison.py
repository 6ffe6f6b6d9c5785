"""Differences and ratios of exact sums and of their means, each rounded once."""

from fractions import Fraction
from typing import Any, Final

from api.queries.contract import Sums
from api.representation.amounts import NAMES
from mobility.records import MICRO

_MEANS: Final = {
    "avg_duration": "total_duration",
    "avg_distance": "total_distance",
    "avg_revenue": "total_revenue",
}


def differences(left: Sums, right: Sums) -> dict[str, Any]:
    """Return the fields of `answers.Amounts`: what the left has more than the right, in units.

    >>> differences(Sums(2, 3_000_000, 0, 0), Sums(1, 1_000_000, 0, 0))["avg_duration"]
    0.5
    """
    ours, others = _exact(left), _exact(right)
    amounts: dict[str, Any] = {name: float(ours[name] - others[name]) for name in ours}
    return {**amounts, "trip_count": left.trip_count - right.trip_count}


def ratios(left: Sums, right: Sums) -> dict[str, float | None]:
    """Return the fields of `answers.Ratio`: the left by the right, None where that is 0.

    >>> ratios(Sums(2, 3_000_000, 0, 0), Sums(1, 1_000_000, 0, 0))["total_duration"]
    3.0
    """
    ours, others = _exact(left), _exact(right)
    return {name: float(ours[name] / others[name]) if others[name] else None for name in ours}


def _exact(sums: Sums) -> dict[str, Fraction]:
    count = Fraction(sums.trip_count)
    totals = {name: Fraction(getattr(sums, name), MICRO) for name in NAMES[1:]}
    means = {name: totals[of] / count if count else count for name, of in _MEANS.items()}
    return {"trip_count": count, **totals, **means}
