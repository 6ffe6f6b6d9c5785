"""The output of `show`: one rejected message with its headers, key and original bytes."""

import sys
from typing import Final

from rich.console import Console
from rich.text import Text

from corrections.rejected_topic import ListedMessage
from mobility.printable import printable, printable_bytes
from mobility.times import iso_time

_MAX_BYTES_SHOWN: Final = 16_384


def print_message(console: Console, listed: ListedMessage) -> None:
    """Print a message for people, with everything unprintable escaped."""
    message = listed.message
    lines = [
        ("position", f"{message.position} of {message.topic}"),
        ("written", iso_time(message.time)),
        ("replayed", listed.replayed or "no"),
        *((f"header {name}", _as_text(value)) for name, value in message.headers),
        ("key", _as_text(message.key)),
        ("value", f"{message.size:,} bytes" if message.value is not None else "none"),
    ]
    width = max(len(name) for name, _ in lines)
    for name, text in lines:
        _print(console, f"{printable(name):<{width}}  {text}")
    if message.value is not None:
        _print(console, printable_bytes(message.value[:_MAX_BYTES_SHOWN]))
        if message.size > _MAX_BYTES_SHOWN:
            more = message.size - _MAX_BYTES_SHOWN
            _print(console, f"... and {more:,} bytes more: --raw or --out FILE has them all")


def write_raw(value: bytes) -> None:
    """Write the original bytes to stdout, and nothing else."""
    sys.stdout.buffer.write(value)
    sys.stdout.buffer.flush()


def _as_text(data: bytes | None) -> str:
    return "none" if data is None else printable_bytes(data)


def _print(console: Console, text: str) -> None:
    console.print(Text(text), soft_wrap=True)
