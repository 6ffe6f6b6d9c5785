"""A graceful stop: the source ends, so that Bytewax takes a final snapshot and exits with 0.

Left alone, SIGTERM would kill the process at once and SIGINT would end it without a snapshot.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Final

# Handlers are set in this order, so a process that handles SIGTERM also handles SIGINT.
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)

# A final snapshot takes less. A process that waits for other processes of its cluster to start does
# not notice the request to stop: only this limit ends it.
_GRACE_SECONDS: Final = 20.0

_requested = threading.Event()


def stop_requested() -> bool:
    """Tell whether this process was asked to stop."""
    return _requested.is_set()


def is_flow_process() -> bool:
    """Tell whether `python -m bytewax.run` is the program.

    A flow imported by a test or a tool leaves its host's signals and folders alone.
    """
    spec = getattr(sys.modules.get("__main__"), "__spec__", None)
    return spec is not None and spec.name == "bytewax.run"


def stop_on_signals() -> None:
    """Let SIGTERM and SIGINT ask for a graceful stop."""
    for number in _SIGNALS:
        signal.signal(number, _request)


def exit_on_signals() -> None:
    """Let SIGTERM and SIGINT end this process with 0 as long as it has not started anything.

    SIGHUP, which would kill it, waits until the launcher handles signals.
    At once, without an exception: native modules that are being imported answer one with a panic or
    a crash, and a callback of the garbage collector discards it.
    """
    for number in _SIGNALS:
        signal.signal(number, _exit)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGHUP])


def stop_with_launcher(
    read: Callable[[int, int], bytes] = os.read, end: Callable[[int], object] = os._exit
) -> None:
    """Stop when standard input ends, which the launcher holds open as long as it lives."""

    def watch() -> None:
        while read(0, 1):
            pass
        _requested.set()
        threading.Event().wait(_GRACE_SECONDS)
        end(1)

    threading.Thread(target=watch, daemon=True).start()


def _request(number: int, frame: FrameType | None) -> None:
    del number, frame
    _requested.set()


def _exit(number: int, frame: FrameType | None) -> None:
    del number, frame
    os._exit(0)
