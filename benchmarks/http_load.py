"""HTTP load: connections that send the next request after each response (a closed loop)."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import cycle
from statistics import median
from typing import Final

from benchmarks.figures import percentile
from benchmarks.timed_command import BenchmarkError

_LENGTH: Final = b"content-length:"
_HEAD: Final = b"\r\n\r\n"


@dataclass(slots=True)
class LoadResult:
    """The result of a load: the latency of each response, in a run of so many seconds."""

    seconds: float
    latencies: list[float]

    @property
    def rate(self) -> float:
        """Responses per second."""
        return len(self.latencies) / self.seconds


def latency_ms(runs: Sequence[LoadResult], share: float) -> float:
    """Return a percentile of the latency (`share` from 0 to 1): the median of the runs."""
    return median(percentile(run.latencies, share) * 1e3 for run in runs)


async def run_load(
    port: int, requests: list[bytes], connections: int, seconds: float
) -> LoadResult:
    """Send requests to a server on this machine; each connection sends the list in turn.

    Raises BenchmarkError for a response that is not 200, and for a connection without a response.
    """
    loop = asyncio.get_running_loop()
    clients = []
    for number in range(connections):
        start = number * len(requests) // connections
        client = _LoadConnection(cycle(requests[start:] + requests[:start]))
        await loop.create_connection(partial(_identity, client), "127.0.0.1", port)
        clients.append(client)
    began = time.perf_counter()
    for client in clients:
        client.send_next()
    await asyncio.sleep(seconds)
    took = time.perf_counter() - began
    for client in clients:
        client.close()
    if failed := [
        client.failure or "no response" for client in clients if not client.has_succeeded
    ]:
        msg = f"{len(failed)} of {connections} connections failed; the first: {failed[0]}"
        raise BenchmarkError(msg)
    return LoadResult(took, [latency for client in clients for latency in client.latencies])


def _identity(client: "_LoadConnection") -> "_LoadConnection":
    return client


class _LoadConnection(asyncio.Protocol):
    """One connection, which parses only status and length: the load must use little CPU."""

    def __init__(self, requests: Iterator[bytes]) -> None:
        self.latencies: list[float] = []
        self.failure = ""
        self._requests = requests
        self._transport: asyncio.Transport | None = None
        self._sent_at = 0.0
        self._is_closed = False
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
            self.close()
            return
        length = int(head.partition(_LENGTH)[2].partition(b"\r\n")[0])
        if len(self._received) < end + len(_HEAD) + length:
            return
        self.latencies.append(time.perf_counter() - self._sent_at)
        self._received = b""
        if not self._is_closed:
            self.send_next()

    def connection_lost(self, error: Exception | None) -> None:
        if not self._is_closed:
            self.failure = self.failure or f"the server closed the connection ({error})"

    @property
    def has_succeeded(self) -> bool:
        """Whether there was a response, and no failure."""
        return bool(self.latencies) and not self.failure

    def send_next(self) -> None:
        """Send the next request."""
        self._sent_at = time.perf_counter()
        if self._transport is not None:
            self._transport.write(next(self._requests))

    def close(self) -> None:
        """Send no more requests."""
        self._is_closed = True
        if self._transport is not None:
            self._transport.close()
