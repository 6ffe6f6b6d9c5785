"""What measured runs come to."""

import pytest

from benchmarks.curve import deviation
from benchmarks.figures import Measured, Run, percentile
from benchmarks.quick import verdict
from benchmarks.section import Target, ratio


def measured(system: str, *seconds: float, start: float = 1.0, trips: int = 1_100) -> Measured:
    """Return runs of so many seconds over `trips` trips, where 100 trips took `start`."""
    runs = tuple(Run(each, 2 * each, 10 * each) for each in seconds)
    return Measured(system, trips, runs, 100, (Run(start, start, 5.0),))


def test_a_rate_leaves_out_the_start() -> None:
    """1,000 trips more in 2, 4 and 5 seconds more."""
    found = measured("one", 3.0, 5.0, 6.0)
    assert found.rates == [500.0, 250.0, 200.0]
    assert found.rate == 250.0
    assert found.spread == pytest.approx(300 / 250)
    assert found.whole_rate == 1_100 / 5
    assert found.cpu_a_trip == pytest.approx((10.0 - 1.0) / 1_000 * 1e6)
    assert found.peak_mb == 60.0


def test_a_slow_start_makes_no_rate_out_of_nothing() -> None:
    """A start that took as long as the run leaves a quarter of the run."""
    assert measured("one", 4.0, start=4.0).rates == [1_000.0]


def test_ratios_are_of_medians() -> None:
    """And of nothing where one of the two was not measured."""
    both = [measured("fast", 2.0), measured("slow", 5.0)]
    assert ratio(both, "fast", "slow") == 4.0
    assert ratio(both, "fast", "absent") is None


@pytest.mark.parametrize(
    ("figure", "bound", "most", "met"),
    [(3.0, 3.0, False, True), (2.9, 3.0, False, False), (3.0, 3.0, True, True)],
)
def test_a_target_is_met_at_its_bound(figure: float, bound: float, most: bool, met: bool) -> None:
    """A bound is the least, or the most, that will do."""
    assert Target("x", figure, bound, most=most).met is met


def test_percentiles_are_values_that_were_measured() -> None:
    """By nearest rank, in whatever order they come."""
    values = [float(each) for each in range(100, 0, -1)]
    assert [percentile(values, share) for share in (0.5, 0.99, 1.0)] == [50.0, 99.0, 100.0]
    assert percentile([7.0], 0.5) == 7.0


def test_deviation_is_from_the_middle_length() -> None:
    """The farther of both ends counts, whichever way it is off."""
    three = [measured("a", 3.0), measured("b", 5.0), measured("c", 4.0)]
    assert deviation(three) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("ours", "naive", "line", "passes"),
    [
        (2.0, 101.0, "naive=100.0 ceiling=1.00", True),
        (2.0, 91.0, "naive=90.0 ceiling=1.00", False),
        (7.0, 701.0, "naive=116.7 ceiling=0.17", False),
    ],
)
def test_the_guard_fails_below_half_of_a_target(
    ours: float, naive: float, line: str, passes: bool
) -> None:
    """Its last line is what scripts read."""
    runs = [
        measured("mobility-hub", ours),
        measured("consume-and-decode", 2.0),
        measured("bytewax-fold-window", naive),
    ]
    assert verdict(runs) == (line, passes)
