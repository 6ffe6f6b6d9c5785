"""A graceful stop: the source ends, so that Bytewax takes a final snapshot and exits with 0.

Left alone, SIGTERM would kill the process at once and SIGINT would end it without a snapshot.
"""

import signal
import sys
import threading
from types import FrameType

_requested = threading.Event()


def stop_requested() -> bool:
    """Tell whether somebody asked this process to stop."""
    return _requested.is_set()


def is_flow_process() -> bool:
    """Tell whether `python -m bytewax.run` is the program.

    A flow imported by a test or a tool leaves its host's signals and folders alone.
    """
    spec = getattr(sys.modules.get("__main__"), "__spec__", None)
    return spec is not None and spec.name == "bytewax.run"


def stop_on_signals() -> None:
    """Let SIGTERM and SIGINT ask for a graceful stop, where the flow is the program."""
    if not is_flow_process():
        return
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _request)


def _request(number: int, frame: FrameType | None) -> None:
    del number, frame
    _requested.set()
