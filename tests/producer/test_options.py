"""The command line."""

from pathlib import Path

import pytest

from producer.formats.options import ReadingOptions
from producer.options import ProducerOptions, parse_options


def test_defaults() -> None:
    """A file without options is replayed once, at speed 1, in event-time order."""
    assert parse_options(["trips.parquet"]) == ProducerOptions(
        files=(Path("trips.parquet"),),
        reading=ReadingOptions(),
        speed=1.0,
        loop=False,
        rebase=False,
        density=1,
        as_is=False,
        final=False,
        state=None,
        rejects=None,
    )


@pytest.mark.parametrize(("text", "speed"), [("60", 60.0), ("0.5", 0.5), ("max", None)])
def test_speeds(text: str, speed: float | None) -> None:
    """A speed is a number above zero, or `max`."""
    assert parse_options(["a", "--speed", text]).speed == speed


@pytest.mark.parametrize("speed", ["2", "max", "0.5"])
def test_rebase_refuses_another_speed(speed: str, capsys: pytest.CaptureFixture[str]) -> None:
    """It sends later trips in real time: exit code 2 and a message."""
    with pytest.raises(SystemExit) as stopped:
        parse_options(["a", "--rebase", "now", "--speed", speed])
    assert stopped.value.code == 2
    assert f"--speed {speed} can't be combined with it" in capsys.readouterr().err


@pytest.mark.parametrize("endless", [["--loop"], ["--rebase", "now"]])
def test_final_refuses_what_never_ends(
    endless: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Files that are sent again and again have no last trip."""
    with pytest.raises(SystemExit) as stopped:
        parse_options(["a", "--final", *endless])
    assert stopped.value.code == 2
    assert f"--final says that no trips follow those of the files, and {' '.join(endless)} " in (
        capsys.readouterr().err
    )


@pytest.mark.parametrize("more", [[], ["--speed", "1"], ["--speed", "1.0"], ["--density", "3"]])
def test_rebase_with_speed_one(more: list[str]) -> None:
    """Speed 1 may be given."""
    options = parse_options(["a", "--rebase", "now", *more])
    assert options.rebase
    assert options.speed == 1.0


@pytest.mark.parametrize(
    "arguments",
    [
        ["--speed", "0"],
        ["--speed", "-1"],
        ["--speed", "nan"],
        ["--speed", "inf"],
        ["--speed", "fast"],
        ["--density", "0"],
        ["--density", "many"],
        ["--rebase", "yesterday"],
    ],
)
def test_invalid_options_exit_with_2(arguments: list[str]) -> None:
    """Before anything is read or sent."""
    with pytest.raises(SystemExit) as stopped:
        parse_options(["a", *arguments])
    assert stopped.value.code == 2
