"""The load counts complete responses only."""

import asyncio

import pytest

from benchmarks.http_load import LoadResult, run_load
from benchmarks.timed_command import BenchmarkError

RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabcd"
REQUESTS = [f"GET /{number} HTTP/1.1\r\n\r\n".encode() for number in range(4)]


def load(
    *parts: bytes, connections: int = 2, seconds: float = 0.2
) -> tuple[LoadResult, list[bytes]]:
    """Load a server that responds in these parts; return the result and the requests."""
    received: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                received.append(await reader.readuntil(b"\r\n\r\n"))
                for part in parts:
                    writer.write(part)
                    await asyncio.sleep(0.001)
                if not parts:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def run() -> LoadResult:
        async with await asyncio.start_server(serve, "127.0.0.1") as server:
            port: int = server.sockets[0].getsockname()[1]
            try:
                return await run_load(port, REQUESTS, connections, seconds)
            finally:
                await asyncio.sleep(0.05)  # for the server to notice closed connections

    return asyncio.run(run()), received


def test_complete_responses_are_counted() -> None:
    """For any parts of head and body; each connection starts at another request of the list."""
    result, received = load(RESPONSE[:10], RESPONSE[10:-2], RESPONSE[-2:], seconds=2)
    assert 2 <= len(result.latencies) <= len(received)
    assert len(received) - len(result.latencies) <= 2
    assert min(result.latencies) >= 0.002
    assert result.rate == len(result.latencies) / result.seconds
    assert received[:2] == [REQUESTS[0], REQUESTS[2]]
    assert set(received) == set(REQUESTS)


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ([RESPONSE.replace(b"200 OK", b"404 Not Found")], "http/1.1 404 not found"),
        ([], "closed the connection"),
        ([RESPONSE[:-1]], "no response"),
    ],
)
def test_a_failed_connection_ends_the_measurement(parts: list[bytes], reason: str) -> None:
    """An error, a closed connection, and a response that is never complete."""
    with pytest.raises(BenchmarkError, match=f"2 of 2 .*{reason}"):
        load(*parts)
