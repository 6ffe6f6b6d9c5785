"""The command line."""

import pytest

from benchmarks import quick
from benchmarks.options import parse_options
from benchmarks.subjects import SUBJECTS
from benchmarks.systems import NAMES


def test_everything_is_measured_by_default() -> None:
    """All subjects, all systems, two million trips."""
    options = parse_options([])
    assert options.subjects == tuple(SUBJECTS)
    assert options.systems == NAMES
    assert (options.trips, options.repeat, options.quick) == (2_000_000, 3, False)


def test_quick_has_fewer_trips() -> None:
    """Unless --trips is given."""
    assert parse_options(["quick"]).trips == quick.TRIPS
    assert parse_options(["quick", "--trips", "5_000"]).trips == 5_000


@pytest.mark.parametrize(
    "arguments",
    [["speed"], ["quick", "sinks"], ["--systems", "spark"], ["--trips", "0"], ["--repeat", "x"]],
)
def test_invalid_options_are_refused(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """With exit code 2 and a message."""
    with pytest.raises(SystemExit) as refused:
        parse_options(arguments)
    assert refused.value.code == 2
    assert "just bench" in capsys.readouterr().err
