"""`show`: one letter, its headers, key and original bytes."""

import sys
from typing import Final

from rich.console import Console
from rich.text import Text

from corrections.letterbox import Found
from corrections.printable import printable, printable_bytes
from mobility.times import iso_time

_MOST_SHOWN: Final = 16_384


def print_letter(console: Console, found: Found) -> None:
    """Print a letter for people: whatever might act on the terminal is escaped."""
    letter = found.letter
    lines = [
        ("position", f"{letter.position} of {letter.topic}"),
        ("written", iso_time(letter.time)),
        ("replayed", found.replayed or "no"),
        *((f"header {name}", _text(value)) for name, value in letter.headers),
        ("key", _text(letter.key)),
        ("value", f"{letter.size:,} bytes" if letter.value is not None else "none"),
    ]
    width = max(len(name) for name, _ in lines)
    for name, text in lines:
        _print(console, f"{printable(name):<{width}}  {text}")
    if letter.value is not None:
        _print(console, printable_bytes(letter.value[:_MOST_SHOWN]))
        if letter.size > _MOST_SHOWN:
            more = letter.size - _MOST_SHOWN
            _print(console, f"... and {more:,} bytes more: --raw or --out FILE has them all")


def write_raw(value: bytes) -> None:
    """Write the original bytes to stdout, nothing else."""
    sys.stdout.buffer.write(value)
    sys.stdout.buffer.flush()


def _text(data: bytes | None) -> str:
    return "none" if data is None else printable_bytes(data)


def _print(console: Console, text: str) -> None:
    console.print(Text(text), soft_wrap=True)
