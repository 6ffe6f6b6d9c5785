"""The command line: one thing is asked for, and whole."""

from pathlib import Path

import pytest

from backfill.options import RECORDS, parse


def test_a_range_with_corrections() -> None:
    """Files can follow one another or come each with its option."""
    found = parse(["--from", "a", "--to", "b", "--with", "x", "y", "--with", "z", "--apply"])
    assert (found.start, found.end, found.apply) == ("a", "b", True)
    assert found.corrections == (Path("x"), Path("y"), Path("z"))
    assert found.records == RECORDS


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
def test_half_a_question_is_refused(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2, with the usage."""
    with pytest.raises(SystemExit) as ended:
        parse(line.split())
    assert ended.value.code == 2
    assert "usage: just backfill" in capsys.readouterr().err
