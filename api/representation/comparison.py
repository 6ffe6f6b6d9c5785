"""Differences and ratios of exact sums and of their means. Those that are rounded are so once."""

from fractions import Fraction
from typing import Any

from api.queries.contract import Sums
from api.representation.responses import in_units, is_absent
from mobility.measures import COUNT_OF, COUNTS, MEANS, SUMS, TOTALS
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
        name: None if amount is None or other is None else float(amount - other)
        for (name, amount), other in zip(exact_left.items(), exact_right.values(), strict=True)
    }
    sums = in_units({name: left[name] - right[name] for name in SUMS})
    return {**amounts, **{name: each for name, each in sums.items() if amounts[name] is not None}}


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
        name: None if amount is None or not other else float(amount / other)
        for (name, amount), other in zip(exact_left.items(), exact_right.values(), strict=True)
    }


def _exact_amounts(sums: Sums) -> dict[str, Fraction | None]:
    """Return sums and means in units, None where no trip has the amount."""
    counts = {name: Fraction(sums[name]) for name in COUNTS}
    totals = {
        name: None if is_absent(name, sums) else Fraction(sums[name], MICRO) for name in TOTALS
    }
    means = {name: _mean(totals[of], counts[COUNT_OF[of]]) for name, of in MEANS.items()}
    return {**counts, **totals, **means}


def _mean(total: Fraction | None, count: Fraction) -> Fraction | None:
    return total / count if total is not None and count else total
