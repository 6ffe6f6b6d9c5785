"""The command line: exactly one action, with all that it needs."""

from pathlib import Path

import pytest

from backfill.options import JOURNAL_FOLDER, parse_options


def test_a_range_with_corrections() -> None:
    """Several files can follow one --with, or each its own."""
    found = parse_options(
        ["--from", "a", "--to", "b", "--with", "x", "y", "--with", "z", "--apply"]
    )
    assert (found.start, found.end, found.apply) == ("a", "b", True)
    assert found.corrections == (Path("x"), Path("y"), Path("z"))
    assert found.journal_folder == JOURNAL_FOLDER


@pytest.mark.parametrize(
    "line",
    [
        "",
        "--apply",
        "--from a",
        "--to b",
        "--from a --to b --list",
        "--list --take-back 0001",
        "--take-back 0001 --with x",
        "--from a --to b --with",
    ],
)
def test_an_incomplete_command_is_refused(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The exit code is 2, with the usage."""
    with pytest.raises(SystemExit) as ended:
        parse_options(line.split())
    assert ended.value.code == 2
    assert "usage: just backfill" in capsys.readouterr().err
