"""The command line: wrong use is refused with exit code 2."""

import pytest

from corrections.options import parse_options
from corrections.rejected_topic import MessageFilter
from mobility.rejected_messages import DEAD, LATE, SourcePosition
from tests.strategies import NOON


def test_filters_are_read() -> None:
    """Times without an offset are UTC."""
    line = "dlq list --reason negative --reason bad_id --partition 2 --limit 5 --all"
    times = ["--from", "2025-01-01T12:00:00", "--to", "2025-01-01T14:00:00+02:00"]
    options = parse_options([*line.split(), *times])
    assert options.kind is DEAD
    assert options.selected == MessageFilter(
        frozenset({"negative", "bad_id"}), NOON, NOON, frozenset({2}), frozenset()
    )
    assert (options.limit, options.with_replayed) == (5, True)
    replay = parse_options(["late", "replay", "2:17", "0:3"])
    assert replay.kind is LATE
    assert replay.selected.positions == {SourcePosition(2, 17), SourcePosition(0, 3)}


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("dlq", "required"),
        ("dlq show", "POSITION"),
        ("dlq show 2-17", "expected partition:offset"),
        ("dlq show ٢:17", "expected partition:offset"),
        ("dlq show 2:17 --raw --json", "not allowed"),
        ("dlq list --from noon", "2025-01-31T12:00Z"),
        ("dlq list --from 2025-01-01", "2025-01-31T12:00Z"),
        ("dlq list --limit 0", "from 1 to 1000000000, got 0"),
        ("dlq list --with-values", "--json"),
        ("dlq replay 0:1 0:2 --with f", "names its messages"),
        ("dlq replay --reason x --with f", "names its messages"),
        ("late list --reason x", "unrecognized"),
        ("late replay --with=f", "unrecognized"),
        ("dlq list --json --with", "unrecognized"),
    ],
)
def test_wrong_use_is_refused(line: str, word: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The error says what was expected."""
    with pytest.raises(SystemExit) as left:
        parse_options(line.split())
    assert left.value.code == 2
    assert word in capsys.readouterr().err
