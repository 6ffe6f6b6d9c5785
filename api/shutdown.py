"""What the API's worker process does when it gets a stop signal, from its fork on."""

import asyncio
import faulthandler
import os
import signal
import sys
from types import FrameType
from typing import Final

from litestar import Litestar

from api.exports import RunningExports
from api.live.hub import LiveHub

STOP_SECONDS: Final = 10
"""The time for requests that are being answered when the signal arrives."""

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


def stop_while_starting() -> None:
    """Make a stop signal end this process, and workers that have just been forked, at once.

    To be called before the server starts; it sets handlers of its own. A worker inherits those
    until it has some itself, and they would only note the signal. Signals wait during the fork:
    Python forgets those that arrive in between. SIGINT is ignored in a worker that starts: a
    terminal sends it to the server process too, which ends its workers.
    """
    for number in _SIGNALS:
        signal.signal(number, lambda _number, _frame: sys.exit(0))
    os.register_at_fork(
        before=lambda: signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS),
        after_in_parent=lambda: signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS),
        after_in_child=_use_default_handlers,
    )


async def stop_on_signal(app: Litestar) -> None:
    """Make the signals that stop the server end live streams and exports (an on_startup hook).

    The server would wait for them forever, or for as long as there are rows. What else does not end
    within STOP_SECONDS is ended with the process, after all stacks were printed: Granian's own
    timeout is not used, because it asks whether a worker is alive while another thread waits for
    that worker, and says that it killed workers which had ended at once.

    Granian listens to signals through the event loop, which wakes up whatever handler Python calls.
    These handlers replace those of the loop, which do nothing.
    """
    hub: LiveHub | None = app.state.get("hub")
    exports: RunningExports | None = app.state.get("exports")
    loop = asyncio.get_running_loop()

    def stop(_number: int, _frame: FrameType | None) -> None:
        faulthandler.dump_traceback_later(STOP_SECONDS, exit=True)
        if hub is not None:
            loop.call_soon_threadsafe(hub.drop_all)
        if exports is not None:
            loop.call_soon_threadsafe(exports.drop_all)

    for number in _SIGNALS:
        signal.signal(number, stop)


def _use_default_handlers() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
