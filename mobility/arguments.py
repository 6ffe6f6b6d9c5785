"""Types of command-line arguments that several commands share, for `argparse`."""

import argparse
from collections.abc import Callable
from typing import Final

from mobility.times import parse_time

_MOST: Final = 10**9


def integer_from(least: int, most: int = _MOST) -> Callable[[str], int]:
    """Return the type of an integer in a range, with both ends.

    >>> integer_from(0)("5_000")
    5000
    """

    def integer(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = least - 1
        if not least <= number <= most:
            msg = f"expected an integer from {least} to {most}, got {text}"
            raise argparse.ArgumentTypeError(msg)
        return number

    return integer


def time_ms(text: str) -> int:
    """Return the epoch ms of a time that `mobility.times.parse_time` accepts."""
    try:
        return parse_time(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


positive_int = integer_from(1)

processes_of_a_flow = integer_from(1, 256)
