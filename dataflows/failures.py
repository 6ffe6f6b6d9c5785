"""Failures that another attempt would not cure, and how a process ends with them."""

import os
import sys
from types import TracebackType
from typing import Final, NoReturn

EXIT_REFUSED: Final = 2
"""The exit code of a refusal: who starts the flow again gets the same answer."""

_refusals: Final[list[str]] = []


class RefusalError(RuntimeError):
    """The flow can't run as it was asked to; the message says what is wrong and what to do.

    Each is remembered: what is raised in a worker's thread reaches the end of a process of several
    as a panic without its cause.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        _refusals.append(message)


class StartError(RuntimeError):
    """A start that failed and may succeed later; the message says why."""


def refuse(message: str) -> NoReturn:
    """Say why there is no start, and exit with 2."""
    sys.stderr.write(f"{message}\n")
    raise SystemExit(EXIT_REFUSED)


def end_plainly() -> None:
    """Let a refusal end this process with its own words and exit code, without a traceback."""
    sys.excepthook = _last_words


def _last_words(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    if not _refusals:
        sys.__excepthook__(kind, error, trace)
        return
    sys.stderr.write(f"{_refusals[0]}\n")
    sys.stderr.flush()
    # Python exits with 1 after an exception, and waits for threads of Bytewax that are no more.
    os._exit(EXIT_REFUSED)
