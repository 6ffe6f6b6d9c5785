"""Types of command-line arguments that several commands share, for `argparse`."""

import argparse


def positive_int(text: str) -> int:
    """Return the integer in an argument; raise ArgumentTypeError if it is below 1.

    >>> positive_int("5_000")
    5000
    """
    number = int(text)
    if number < 1:
        msg = f"expected at least 1, got {text}"
        raise argparse.ArgumentTypeError(msg)
    return number
