"""The load counts whole answers, and nothing else."""

import asyncio

import pytest

from benchmarks.load import Answered, loaded
from benchmarks.running import BenchmarkError

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabcd"
REQUESTS = [f"GET /{number} HTTP/1.1\r\n\r\n".encode() for number in range(4)]


def load(*parts: bytes, connections: int = 2) -> tuple[Answered, list[bytes]]:
    """Load a server that answers each request in these parts; return what it was asked as well."""
    asked: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                asked.append(await reader.readuntil(b"\r\n\r\n"))
                for part in parts:
                    writer.write(part)
                    await asyncio.sleep(0.001)
                if not parts:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def run() -> Answered:
        async with await asyncio.start_server(serve, "127.0.0.1") as server:
            port: int = server.sockets[0].getsockname()[1]
            try:
                return await loaded(port, REQUESTS, connections, 0.2)
            finally:
                await asyncio.sleep(0.05)  # for the server to notice that everybody has left

    return asyncio.run(run()), asked


def test_answers_are_counted_when_they_are_whole() -> None:
    """However the parts of head and body fall; each connection begins elsewhere in the list."""
    answered, asked = load(ANSWER[:10], ANSWER[10:-2], ANSWER[-2:])
    assert 2 <= len(answered.latencies) <= len(asked)
    assert len(asked) - len(answered.latencies) <= 2
    assert min(answered.latencies) >= 0.002
    assert answered.rate == len(answered.latencies) / answered.seconds
    assert asked[:2] == [REQUESTS[0], REQUESTS[2]]
    assert set(asked) == set(REQUESTS)


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ([ANSWER.replace(b"200 OK", b"404 Not Found")], "http/1.1 404 not found"),
        ([], "hung up"),
        ([ANSWER[:-1]], "no answer"),
    ],
)
def test_what_is_no_answer_ends_the_measurement(parts: list[bytes], reason: str) -> None:
    """An error, a server that hangs up, and one that never ends its answer."""
    with pytest.raises(BenchmarkError, match=f"2 of 2 .*{reason}"):
        load(*parts)
