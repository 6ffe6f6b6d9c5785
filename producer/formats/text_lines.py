"""The lines of a text file, in parts: any line ends, byte order marks, bytes that are not UTF-8."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_BYTES_PER_READ: Final = 16 << 20
_MARK: Final = "\ufeff"

# Those of Windows, also doubled by a program that ended lines twice, and of old Macs.
_LINE_END: Final = re.compile(r"\r*\n|\r")


@dataclass(frozen=True, slots=True)
class TextLines:
    """Lines without their ends.

    `recoded` of them were not UTF-8 and are read as Windows-1252. `end`: how many bytes of the file
    are read, exactly after the last lines.
    """

    lines: list[str]
    recoded: int
    end: int


def read_lines(path: Path, most: int) -> Iterator[TextLines]:
    """Yield the lines of a file in their order, up to `most` at once.

    Files that were put together have marks in the middle: each is removed.
    """
    end = 0
    for block in _read_blocks(path):
        text, recoded = _decoded(block)
        lines = _split(text)
        for start in range(0, len(lines), most):
            part = lines[start : start + most]
            read = len(block) * (start + len(part)) // len(lines)
            yield TextLines(part, recoded if start == 0 else 0, end + read)
        end += len(block)


def _read_blocks(path: Path) -> Iterator[bytes]:
    """Yield the bytes of a file in blocks of whole lines."""
    with path.open("rb") as file:
        while block := file.read(_BYTES_PER_READ):
            yield block + file.readline()


def _split(text: str) -> list[str]:
    if "\r" in text:
        text = _LINE_END.sub("\n", text)
    lines = text.split("\n")
    if not lines[-1]:
        lines.pop()
    return [line.removeprefix(_MARK) for line in lines] if _MARK in text else lines


def _decoded(block: bytes) -> tuple[str, int]:
    """Return lines as text, and how many were not UTF-8; others may be in the same file."""
    try:
        return block.decode(), 0
    except UnicodeDecodeError:
        texts = [_decode_line(line) for line in block.splitlines(keepends=True)]
        return "".join(text for text, _ in texts), sum(is_recoded for _, is_recoded in texts)


def _decode_line(line: bytes) -> tuple[str, bool]:
    try:
        return line.decode(), False
    except UnicodeDecodeError:
        pass
    try:
        return line.decode("cp1252"), True
    except UnicodeDecodeError:
        # The five bytes that Windows-1252 leaves undefined become control characters.
        return line.decode("latin-1"), True
