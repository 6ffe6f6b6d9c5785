"""Figures of measured runs."""

import pytest

from benchmarks.curve import deviation
from benchmarks.figures import Measurement, RunFigures, percentile
from benchmarks.quick import summarize
from benchmarks.section import Target, ratio


def measured(system: str, *seconds: float, start: float = 1.0, trips: int = 1_100) -> Measurement:
    """Return runs of so many seconds over `trips` trips, where 100 trips took `start`."""
    runs = tuple(RunFigures(each, 2 * each, 10 * each) for each in seconds)
    return Measurement(system, trips, runs, 100, (RunFigures(start, start, 5.0),))


def test_a_rate_leaves_out_the_start() -> None:
    """1,000 more trips in 2, 4 and 5 more seconds."""
    found = measured("one", 3.0, 5.0, 6.0)
    assert found.rates == [500.0, 250.0, 200.0]
    assert found.rate == 250.0
    assert found.spread == pytest.approx(300 / 250)
    assert found.whole_rate == 1_100 / 5
    assert found.cpu_a_trip == pytest.approx((10.0 - 1.0) / 1_000 * 1e6)
    assert found.peak_mb == 60.0


def test_a_slow_start_leaves_a_quarter_of_the_run() -> None:
    """Also a start that took as long as the run."""
    assert measured("one", 4.0, start=4.0).rates == [1_000.0]


def test_ratios_are_of_medians() -> None:
    """And None if one of the two was not measured."""
    both = [measured("fast", 2.0), measured("slow", 5.0)]
    assert ratio(both, "fast", "slow") == 4.0
    assert ratio(both, "fast", "absent") is None


@pytest.mark.parametrize(
    ("figure", "bound", "most", "met"),
    [(3.0, 3.0, False, True), (2.9, 3.0, False, False), (3.0, 3.0, True, True)],
)
def test_a_target_is_met_at_its_bound(figure: float, bound: float, most: bool, met: bool) -> None:
    """A bound is the least, or the most, that passes."""
    assert Target("x", figure, bound, most=most).met is met


def test_percentiles_are_values_that_were_measured() -> None:
    """By nearest rank, in any order of the values."""
    values = [float(each) for each in range(100, 0, -1)]
    assert [percentile(values, share) for share in (0.5, 0.99, 1.0)] == [50.0, 99.0, 100.0]
    assert percentile([7.0], 0.5) == 7.0


def test_deviation_is_from_the_middle_length() -> None:
    """The larger deviation of both ends counts, in either direction."""
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
def test_the_regression_check_fails_below_half_of_a_target(
    ours: float, naive: float, line: str, passes: bool
) -> None:
    """Scripts read its last line."""
    runs = [
        measured("mobility-hub", ours),
        measured("consume-and-decode", 2.0),
        measured("bytewax-fold-window", naive),
    ]
    assert summarize(runs) == (line, passes)
