"""Differences and ratios of exact sums and of their means, each rounded once."""

from fractions import Fraction
from typing import Any, Final

from api.queries.contract import SUM_NAMES, Sums
from mobility.records import MICRO

_MEANS: Final = {
    "avg_duration": "total_duration",
    "avg_distance": "total_distance",
    "avg_revenue": "total_revenue",
}


def differences(left: Sums, right: Sums) -> dict[str, Any]:
    """Return the fields of `responses.Amounts`: left minus right, in units.

    >>> differences(Sums(2, 3_000_000, 0, 0), Sums(1, 1_000_000, 0, 0))["avg_duration"]
    0.5
    """
    exact_left, exact_right = _exact_amounts(left), _exact_amounts(right)
    amounts: dict[str, Any] = {
        name: float(exact_left[name] - exact_right[name]) for name in exact_left
    }
    return {**amounts, "trip_count": left.trip_count - right.trip_count}


def ratios(left: Sums, right: Sums) -> dict[str, float | None]:
    """Return the fields of `responses.Ratio`: left divided by right, None if right is 0.

    >>> ratios(Sums(2, 3_000_000, 0, 0), Sums(1, 1_000_000, 0, 0))["total_duration"]
    3.0
    """
    exact_left, exact_right = _exact_amounts(left), _exact_amounts(right)
    return {
        name: float(amount / exact_right[name]) if exact_right[name] else None
        for name, amount in exact_left.items()
    }


def _exact_amounts(sums: Sums) -> dict[str, Fraction]:
    count = Fraction(sums.trip_count)
    totals = {name: Fraction(getattr(sums, name), MICRO) for name in SUM_NAMES[1:]}
    means = {name: totals[of] / count if count else count for name, of in _MEANS.items()}
    return {"trip_count": count, **totals, **means}
