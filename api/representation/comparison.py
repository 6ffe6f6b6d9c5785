"""Differences and ratios of exact sums and of their means, each rounded once."""

from fractions import Fraction
from typing import Any

from api.queries.contract import Sums
from mobility.measures import COUNTS, MEANS, TOTALS
from mobility.records import MICRO


def differences(left: Sums, right: Sums) -> dict[str, Any]:
    """Return the fields of `responses.Amounts`: left minus right, in units.

    >>> from api.queries.contract import ZERO_SUMS
    >>> left = {**ZERO_SUMS, "trip_count": 2, "total_duration": 3_000_000}
    >>> right = {**ZERO_SUMS, "trip_count": 1, "total_duration": 1_000_000}
    >>> differences(left, right)["avg_duration"]
    0.5
    """
    exact_left, exact_right = _exact_amounts(left), _exact_amounts(right)
    amounts: dict[str, Any] = {
        name: float(exact_left[name] - exact_right[name]) for name in exact_left
    }
    return {**amounts, **{name: left[name] - right[name] for name in COUNTS}}


def ratios(left: Sums, right: Sums) -> dict[str, float | None]:
    """Return the fields of `responses.Ratio`: left divided by right, None if right is 0.

    >>> from api.queries.contract import ZERO_SUMS
    >>> left = {**ZERO_SUMS, "trip_count": 2, "total_duration": 3_000_000}
    >>> right = {**ZERO_SUMS, "trip_count": 1, "total_duration": 1_000_000}
    >>> ratios(left, right)["total_duration"]
    3.0
    """
    exact_left, exact_right = _exact_amounts(left), _exact_amounts(right)
    return {
        name: float(amount / exact_right[name]) if exact_right[name] else None
        for name, amount in exact_left.items()
    }


def _exact_amounts(sums: Sums) -> dict[str, Fraction]:
    counts = {name: Fraction(sums[name]) for name in COUNTS}
    totals = {name: Fraction(sums[name], MICRO) for name in TOTALS}
    count = counts["trip_count"]
    means = {name: totals[of] / count if count else count for name, of in MEANS.items()}
    return {**counts, **totals, **means}
