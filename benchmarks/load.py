"""Load on a server: connections that ask again as soon as they are answered (a closed loop)."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import cycle
from statistics import median
from typing import Final

from benchmarks.figures import percentile
from benchmarks.running import BenchmarkError

_LENGTH: Final = b"content-length:"
_HEAD: Final = b"\r\n\r\n"


@dataclass(slots=True)
class Answered:
    """What came of a load: seconds until each answer was whole, in a run of so many seconds."""

    seconds: float
    latencies: list[float]

    @property
    def rate(self) -> float:
        """Answers a second."""
        return len(self.latencies) / self.seconds


def milliseconds(runs: Sequence[Answered], part: float) -> float:
    """Return what a part of the answers did not exceed, from 0 to 1: the median of the runs."""
    return median(percentile(run.latencies, part) * 1e3 for run in runs)


async def loaded(port: int, requests: list[bytes], connections: int, seconds: float) -> Answered:
    """Ask a server on this machine for so long; each connection sends the requests in turn.

    Raises BenchmarkError for an answer that is not 200, and for a connection that gets none.
    """
    loop = asyncio.get_running_loop()
    clients = []
    for number in range(connections):
        start = number * len(requests) // connections
        client = _Client(cycle(requests[start:] + requests[:start]))
        await loop.create_connection(partial(_same, client), "127.0.0.1", port)
        clients.append(client)
    began = time.perf_counter()
    for client in clients:
        client.ask()
    await asyncio.sleep(seconds)
    took = time.perf_counter() - began
    for client in clients:
        client.end()
    if failed := [client.failure or "no answer" for client in clients if not client.is_well]:
        msg = f"{len(failed)} of {connections} connections failed; the first: {failed[0]}"
        raise BenchmarkError(msg)
    return Answered(took, [latency for client in clients for latency in client.latencies])


def _same(client: "_Client") -> "_Client":
    return client


class _Client(asyncio.Protocol):
    """One connection. It reads heads only as far as their length: the load must cost little."""

    def __init__(self, requests: Iterator[bytes]) -> None:
        self.latencies: list[float] = []
        self.failure = ""
        self._requests = requests
        self._transport: asyncio.Transport | None = None
        self._asked = 0.0
        self._over = False
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - for the types
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        end = self._received.find(_HEAD)
        if end < 0:
            return
        head = self._received[:end].lower()
        if not head.startswith(b"http/1.1 200"):
            self.failure = head.partition(b"\r\n")[0].decode(errors="replace")
            self.end()
            return
        length = int(head.partition(_LENGTH)[2].partition(b"\r\n")[0])
        if len(self._received) < end + len(_HEAD) + length:
            return
        self.latencies.append(time.perf_counter() - self._asked)
        self._received = b""
        if not self._over:
            self.ask()

    def connection_lost(self, error: Exception | None) -> None:
        if not self._over:
            self.failure = self.failure or f"the server hung up ({error})"

    @property
    def is_well(self) -> bool:
        """Whether it was answered, and nothing went wrong."""
        return bool(self.latencies) and not self.failure

    def ask(self) -> None:
        """Send the next request."""
        self._asked = time.perf_counter()
        if self._transport is not None:
            self._transport.write(next(self._requests))

    def end(self) -> None:
        """Ask no more."""
        self._over = True
        if self._transport is not None:
            self._transport.close()
