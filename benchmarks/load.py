"""Load on a server: connections that ask again as soon as they are answered (a closed loop)."""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import cycle
from typing import Final

from benchmarks.running import BenchmarkError

_LENGTH: Final = b"content-length:"
_HEAD: Final = b"\r\n\r\n"


@dataclass(slots=True)
class Answered:
    """What came of a load: seconds until each answer was whole, in a run of so many seconds."""

    seconds: float
    latencies: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Answers a second."""
        return len(self.latencies) / self.seconds


async def loaded(port: int, requests: list[bytes], connections: int, seconds: float) -> Answered:
    """Ask a server on this machine for so long; each connection sends the requests in turn.

    Raises BenchmarkError for an answer that is not 200, or none.
    """
    answered = Answered(seconds)
    loop = asyncio.get_running_loop()
    clients = []
    for number in range(connections):
        start = number * len(requests) // connections
        client = _Client(cycle(requests[start:] + requests[:start]), answered.latencies)
        await loop.create_connection(partial(_same, client), "127.0.0.1", port)
        clients.append(client)
    began = time.perf_counter()
    await asyncio.sleep(seconds)
    answered.seconds = time.perf_counter() - began
    for client in clients:
        client.end()
    if failed := [client.failure for client in clients if client.failure]:
        msg = f"{len(failed)} of {connections} connections failed; the first: {failed[0]}"
        raise BenchmarkError(msg)
    return answered


def _same(client: "_Client") -> "_Client":
    return client


class _Client(asyncio.Protocol):
    """One connection. It reads heads only as far as their length: the load must cost little."""

    failure = ""

    def __init__(self, requests: Iterator[bytes], latencies: list[float]) -> None:
        self._requests = requests
        self._latencies = latencies
        self._transport: asyncio.Transport | None = None
        self._asked = 0.0
        self._over = False
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - for the types
        self._transport = transport
        self._ask()

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
        self._latencies.append(time.perf_counter() - self._asked)
        self._received = b""
        if not self._over:
            self._ask()

    def connection_lost(self, error: Exception | None) -> None:
        if not self._over:
            self.failure = self.failure or f"the server hung up ({error})"

    def end(self) -> None:
        """Ask no more."""
        self._over = True
        if self._transport is not None:
            self._transport.close()

    def _ask(self) -> None:
        self._asked = time.perf_counter()
        if self._transport is not None:
            self._transport.write(next(self._requests))
