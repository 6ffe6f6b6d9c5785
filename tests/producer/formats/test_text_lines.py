"""Lines of text files are whole, wherever blocks of bytes end."""

from pathlib import Path

import pytest

from producer.formats import text_lines
from producer.formats.text_lines import read_lines

LINES = ["a,b", "é,ü", "", "x" * 40, "🚲,1"]


@pytest.mark.parametrize("size", [1, 3, 7, 1_000])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("last", ["", "\n"])
def test_blocks_end_where_lines_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int, end: str, last: str
) -> None:
    """No line, line end or character is cut; each byte is told as read once."""
    monkeypatch.setattr(text_lines, "_BYTES_PER_READ", size)
    path = tmp_path / "a.csv"
    path.write_bytes((end.join(LINES) + last).encode())
    parts = list(read_lines(path, 2))
    assert [line for part in parts for line in part.lines] == LINES
    assert all(len(part.lines) <= 2 for part in parts)
    ends = [part.end for part in parts]
    assert ends == sorted(ends)
    assert ends[-1] == path.stat().st_size


def test_lines_of_another_encoding_are_counted_once(tmp_path: Path) -> None:
    """In whichever part they are."""
    path = tmp_path / "a.csv"
    path.write_bytes(b"a\n\xe9\nb\nc\n\xfc\n")
    parts = list(read_lines(path, 2))
    assert [part.lines for part in parts] == [["a", "é"], ["b", "c"], ["ü"]]
    assert sum(part.recoded for part in parts) == 2
