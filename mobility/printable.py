r"""Text that is safe to print on a terminal.

Everything unprintable is escaped: control characters, terminal escape sequences, characters that
turn the direction of text, lone surrogates, and bytes that are not UTF-8. A backslash is doubled,
so that different messages never look the same.
"""

from typing import Final

_SHORT_ESCAPES: Final = {"\n": r"\n", "\r": r"\r", "\t": r"\t", "\\": r"\\"}
_ASCII_END: Final = 0x80
_BMP_END: Final = 0x10000
# The surrogates that Python decodes bytes to that are not UTF-8 (PEP 383).
_FIRST_BYTE, _LAST_BYTE = "\udc80", "\udcff"


def printable(text: str) -> str:
    r"""Return text with everything unprintable escaped.

    >>> printable("\x1b[2J" + chr(0x202e))
    '\\x1b[2J\\u202e'
    """
    return text.translate(_SHOWN)


def printable_bytes(data: bytes) -> str:
    r"""Return bytes as printable text; those that are not UTF-8 as `\xff` and the like."""
    return printable(data.decode("utf-8", "surrogateescape"))


def _escape(char: str) -> str:
    if char in _SHORT_ESCAPES:
        return _SHORT_ESCAPES[char]
    number = ord(char)
    if _FIRST_BYTE <= char <= _LAST_BYTE:
        return rf"\x{number - 0xDC00:02x}"
    if number < _ASCII_END:
        return rf"\x{number:02x}"
    return rf"\u{number:04x}" if number < _BMP_END else rf"\U{number:08x}"


class _Shown(dict[int, str]):
    """How characters are shown, by their numbers: they are found out once, as far as few differ."""

    def __missing__(self, number: int) -> str:
        char = chr(number)
        shown = char if char.isprintable() and char != "\\" else _escape(char)
        if len(self) < _MAX_KNOWN:
            self[number] = shown
        return shown


_MAX_KNOWN: Final = 4_096
_SHOWN: Final = _Shown()
