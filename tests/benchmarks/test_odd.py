"""Messages in unusual forms are what their names say, and their table has the most expensive."""

import pytest

from benchmarks.odd import section
from benchmarks.odd_messages import KINDS, Kind, plain, records
from mobility.trips import decode_trips
from mobility.validation import TripRules


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_kind_is_trips_or_dead_letters(kind: Kind) -> None:
    """All of its messages, and none of those that it is compared with."""
    trips = records(20)
    assert decode_trips([kind.ordinary(trip) for trip in trips], TripRules()).trips.height == 20
    odd = [kind.make(trip) for trip in trips]
    assert odd[1] != plain(trips[1])
    assert decode_trips(odd, TripRules()).trips.height == (20 if kind.is_trip else 0)


def test_the_most_expensive_are_named() -> None:
    """Kinds with a target of their own, then the most expensive of the others."""
    costs = {kind.name: [1.0, 1.0, 1.0] for kind in KINDS}
    costs["pretty-printed"][2] = 1.4
    costs["equal keys"][1] = 1.2
    costs["NaN"] = [9.0, 1.1, 1.0]
    costs["2,000 levels"] = [50.0, 2.0, 1.0]
    found = section([costs[kind.name] for kind in KINDS])
    targets = {target.what: target for target in found.targets}
    assert [name for name, target in targets.items() if not target.met] == [
        "pretty-printed: CPU / usual form"
    ]
    assert targets["most expensive of the other trips: equal keys"].figure == 1.2
    assert targets["1 % of dead letters, most expensive: NaN"].figure == 1.1
    assert ("dead letter: NaN", "9.00", "1.10", "1.00") in found.rows
