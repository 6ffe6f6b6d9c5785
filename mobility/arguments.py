"""Types of command-line arguments that several commands share, for `argparse`."""

import argparse
from collections.abc import Callable

from mobility.times import parse_time


def integer_from(least: int) -> Callable[[str], int]:
    """Return the type of an integer that is at least `least`.

    >>> integer_from(0)("5_000")
    5000
    """

    def integer(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = least - 1
        if number < least:
            msg = f"expected an integer, at least {least}, got {text}"
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
