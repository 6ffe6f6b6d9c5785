"""One Bytewax cluster on this machine: its processes start and end together."""

import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from queue import SimpleQueue
from threading import Thread
from types import FrameType
from typing import Final

_GRACE_SECONDS: Final = 30.0


def run_group(module: str, processes: int, options: list[str]) -> int:
    """Run a flow in so many processes; return 0, or the exit code of the first that failed.

    A process left alone would wait for the others for ever, so when one fails all are ended. A
    signal to stop goes to every one of them.
    """
    group = [
        subprocess.Popen([sys.executable, "-m", "bytewax.run", module, *options, *cluster])  # noqa: S603 - our own program
        for cluster in _cluster_options(processes)
    ]

    def forward(number: int, frame: FrameType | None) -> None:
        del frame
        for process in group:
            if process.poll() is None:
                process.send_signal(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, forward)
    return _outcome(group)


def _outcome(group: list[subprocess.Popen[bytes]]) -> int:
    ended: SimpleQueue[int] = SimpleQueue()
    for process in group:
        Thread(target=lambda p=process: ended.put(p.wait()), daemon=True).start()
    for _ in group:
        code = ended.get()
        if code:
            _end(group)
            return code if code > 0 else 128 - code
    return 0


def _end(group: list[subprocess.Popen[bytes]]) -> None:
    for process in group:
        process.terminate()
    deadline = time.monotonic() + _GRACE_SECONDS
    for process in group:
        try:
            process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _cluster_options(processes: int) -> list[list[str]]:
    if processes == 1:
        return [[]]
    addresses = ";".join(f"127.0.0.1:{port}" for port in _free_ports(processes))
    return [["-i", str(number), "-a", addresses] for number in range(processes)]


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        # All are held at once, so that no two are the same.
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for holder in sockets:
            holder.bind(("127.0.0.1", 0))
        return [int(holder.getsockname()[1]) for holder in sockets]
