"""The sums of a window, for the peers that count one object per trip."""

from typing import Any

Trip = dict[str, Any]
Totals = dict[str, Any]


def no_trips() -> Totals:
    """Return empty totals."""
    return {"trip_count": 0, "total_duration": 0.0, "total_distance": 0.0, "total_revenue": 0.0}


def with_trip(totals: Totals, trip: Trip) -> Totals:
    """Add a trip to totals."""
    totals["trip_count"] += 1
    totals["total_duration"] += trip["duration_min"]
    totals["total_distance"] += trip["distance_km"]
    totals["total_revenue"] += trip["price"]
    return totals
