r"""Text that can't act on a terminal.

Whatever is not printable is escaped: control characters, terminal escapes, marks that turn the
direction of text, lone surrogates, and bytes that are no UTF-8. A backslash is doubled, so that
different messages never look the same.
"""

from typing import Final

_SHORT: Final = {"\n": r"\n", "\r": r"\r", "\t": r"\t", "\\": r"\\"}
_ASCII_END: Final = 0x80
_PLANE_END: Final = 0x10000
# Where Python puts bytes that it could not decode.
_FIRST_BYTE, _LAST_BYTE = "\udc80", "\udcff"


def printable(text: str) -> str:
    r"""Return text with everything escaped that a terminal might act on.

    >>> printable("\x1b[2J" + chr(0x202e))
    '\\x1b[2J\\u202e'
    """
    return "".join(c if c.isprintable() and c != "\\" else _escaped(c) for c in text)


def printable_bytes(data: bytes) -> str:
    r"""Return bytes as text: UTF-8 where they are that, `\xff` and the like where not."""
    return printable(data.decode("utf-8", "surrogateescape"))


def _escaped(char: str) -> str:
    if char in _SHORT:
        return _SHORT[char]
    number = ord(char)
    if _FIRST_BYTE <= char <= _LAST_BYTE:
        return rf"\x{number - 0xDC00:02x}"
    if number < _ASCII_END:
        return rf"\x{number:02x}"
    return rf"\u{number:04x}" if number < _PLANE_END else rf"\U{number:08x}"
