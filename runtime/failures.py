"""Failures that another attempt would not fix, and how a process ends with them."""

import os
import sys
from types import TracebackType
from typing import Final, NoReturn

EXIT_REFUSED: Final = 2
"""The exit code of a refusal: another start would be refused again."""

_refusals: Final[list[str]] = []
_uncaught: Final[list[BaseException]] = []


class RefusalError(RuntimeError):
    """The flow can't run with these settings or options; the message has the fault and the remedy.

    The messages are remembered: an exception of a worker thread reaches the main thread of a
    process of several as a panic without its cause.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        _refusals.append(message)


class StartError(RuntimeError):
    """A start that failed and may succeed later; the message has the cause."""


def exit_refused(message: str) -> NoReturn:
    """Print the message of a refusal, and exit with 2."""
    sys.stderr.write(f"{message}\n")
    raise SystemExit(EXIT_REFUSED)


def has_failed() -> bool:
    """Tell whether an exception ends this process."""
    return bool(_uncaught)


def exit_without_traceback() -> None:
    """Let a refusal end this process with its message and exit code, without a traceback."""
    sys.excepthook = _exit_with_refusal


def _exit_with_refusal(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    _uncaught.append(error)
    if not _refusals:
        sys.__excepthook__(kind, error, trace)
        return
    sys.stderr.write(f"{_refusals[0]}\n")
    sys.stderr.flush()
    # Python exits with 1 after an exception, and waits for threads of Bytewax that are gone.
    os._exit(EXIT_REFUSED)
