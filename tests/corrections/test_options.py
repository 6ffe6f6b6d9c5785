"""The command line: what makes no sense is told, with exit code 2."""

import pytest

from corrections.letterbox import Filters
from corrections.letters import DEAD, LATE, Position
from corrections.options import parse
from tests.strategies import NOON


def test_filters_are_read() -> None:
    """Times without an offset are UTC."""
    line = "dlq list --reason negative --reason bad_id --partition 2 --limit 5 --all"
    times = ["--from", "2025-01-01T12:00:00", "--to", "2025-01-01T14:00:00+02:00"]
    options = parse([*line.split(), *times])
    assert options.kind is DEAD
    assert options.filters == Filters(
        frozenset({"negative", "bad_id"}), NOON, NOON, frozenset({2}), frozenset()
    )
    assert (options.limit, options.everything) == (5, True)
    replay = parse(["late", "replay", "2:17", "0:3"])
    assert replay.kind is LATE
    assert replay.filters.positions == {Position(2, 17), Position(0, 3)}


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("dlq", "required"),
        ("dlq show", "POSITION"),
        ("dlq show 2-17", "expected partition:offset"),
        ("dlq show ٢:17", "expected partition:offset"),
        ("dlq show 2:17 --raw --json", "not allowed"),
        ("dlq list --from noon", "2025-01-01T12:00:00Z"),
        ("dlq list --limit 0", "above 0"),
        ("dlq list --with-values", "--json"),
        ("dlq replay 0:1 0:2 --with f", "names its letters itself"),
        ("dlq replay --reason x --with f", "names its letters itself"),
        ("late list --reason x", "unrecognized"),
        ("late replay --with=f", "unrecognized"),
        ("dlq list --json --with", "unrecognized"),
    ],
)
def test_what_makes_no_sense_is_told(
    line: str, word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """With a word on what is expected."""
    with pytest.raises(SystemExit) as left:
        parse(line.split())
    assert left.value.code == 2
    assert word in capsys.readouterr().err
