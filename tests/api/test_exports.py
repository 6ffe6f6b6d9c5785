"""How exports are sent: in parts, a few at a time, and cut off when they fail."""

import asyncio
import io
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

import polars as pl
import pytest
from litestar.plugins.problem_details import ProblemDetailsException
from litestar.types import HTTPScope

from api.errors import StoresUnavailableError
from api.exports import Export, ExportResponse, RunningExports
from api.representation.parquet_file import write_parquet
from tests.api.live_client import Client
from tests.waiting import until_async

SCOPE = cast("HTTPScope", {})
MOST_FRAMES = 1_000


class Source:
    """Parts of an export: it notes when it begins and ends."""

    def __init__(self, *parts: bytes, error: Exception | None = None) -> None:
        self.parts = parts
        self.error = error
        self.is_open = False
        self.sent = 0

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[Export]:
        """Yield the export; raise the error after the parts."""
        self.is_open = True
        try:
            yield Export({"Mobility-Store": "postgres"}, self._yield_parts())
        finally:
            self.is_open = False

    async def _yield_parts(self) -> AsyncGenerator[bytes, None]:
        for part in self.parts:
            self.sent += 1
            yield part
        if self.error is not None:
            raise self.error


def stalled() -> Client:
    """Return a client that does not read."""
    return Client(credit=asyncio.Semaphore(0))


def start(exports: RunningExports, source: Source, client: Client) -> asyncio.Task[None]:
    """Start to send an export to a client."""
    response = ExportResponse(exports, source.begin, "text/csv")
    return asyncio.create_task(response(SCOPE, client.receive, client.send))


def test_a_third_export_is_refused() -> None:
    """The problem says when to try again; once one has ended, the next one begins."""

    async def run() -> None:
        exports = RunningExports(limit=2)
        clients = [stalled(), stalled()]
        sources = [Source(b"a", b"b"), Source(b"a", b"b")]
        tasks = [start(exports, *each) for each in zip(sources, clients, strict=True)]
        await until_async(lambda: all(client.started for client in clients), "two exports")
        third = Source(b"c")
        with pytest.raises(ProblemDetailsException) as refused:
            await start(exports, third, Client())
        assert refused.value.status_code == 503
        assert refused.value.type_ == "/problems/too-many-exports"
        assert refused.value.headers == {"Retry-After": "10"}
        assert third.sent == 0
        clients[0].credit.release()
        clients[0].credit.release()
        clients[0].credit.release()
        await tasks[0]
        assert clients[0].body == b"ab"
        later = Client()
        await start(exports, third, later)
        assert later.body == b"c"
        clients[1].disconnected.set()
        await tasks[1]

    asyncio.run(run())


def test_a_client_that_disconnects_ends_its_export() -> None:
    """Also one that does not read: nothing stays open."""

    async def run() -> None:
        client, source = stalled(), Source(b"a", b"b", b"c")
        task = start(RunningExports(), source, client)
        await until_async(lambda: client.started, "the headers")
        client.disconnected.set()
        await task
        assert not source.is_open
        assert source.sent == 1

    asyncio.run(run())


@pytest.mark.parametrize("error", [StoresUnavailableError([]), TimeoutError()])
def test_a_failure_is_a_problem_before_the_headers_only(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    """After them, the response does not end: a client must not take a part for the whole."""

    async def run() -> None:
        early, late = Client(), Client()
        with pytest.raises(type(error)):
            await start(RunningExports(), Source(error=error), early)
        assert not early.started
        await start(RunningExports(), Source(b"a", error=error), late)
        assert late.body == b"a"
        assert not late.ended
        assert "an export was cut off" in caplog.text

    asyncio.run(run())


def test_a_client_that_does_not_read_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its transaction must not stay open."""
    monkeypatch.setattr("api.exports.STALL_SECONDS", 0.05)

    async def run() -> None:
        client, source = stalled(), Source(b"a", b"b")
        await start(RunningExports(), source, client)
        assert client.started
        assert not source.is_open

    asyncio.run(run())


def test_exports_end_when_the_server_stops() -> None:
    """They would hold it up for as long as there are rows."""

    async def run() -> None:
        exports, client, source = RunningExports(), stalled(), Source(b"a", b"b")
        task = start(exports, source, client)
        await until_async(lambda: client.started, "the headers")
        exports.drop_all()
        await task
        assert not source.is_open
        assert not client.ended

    asyncio.run(run())


def test_parquet_is_written_in_parts() -> None:
    """Row groups leave before the last frame comes, and together they are one file."""
    frame = pl.DataFrame({"id": [f"d{number}" for number in range(50_000)]})
    parts: list[bytes] = []
    taken = 0

    async def frames() -> AsyncIterator[pl.DataFrame]:
        """Yield frames until a part has come, and one more; Polars reads some ahead."""
        nonlocal taken
        while not parts and taken < MOST_FRAMES:
            taken += 1
            yield frame
        taken += 1
        yield frame

    async def run() -> None:
        async for part in write_parquet(frames(), frame.schema):
            parts.append(part)  # noqa: PERF401 - `frames` sees each as it comes

    asyncio.run(run())
    assert taken < MOST_FRAMES
    written = pl.read_parquet(io.BytesIO(b"".join(parts)))
    assert written.equals(pl.concat([frame] * taken))


def test_parquet_that_is_not_taken_to_its_end_leaves_no_thread() -> None:
    """A client may disconnect after the first part; an error of the frames is raised."""
    frame = pl.DataFrame({"id": ["a"] * 200_000})

    async def frames(error: Exception | None = None) -> AsyncIterator[pl.DataFrame]:
        for _ in range(5):
            yield frame
        if error is not None:
            raise error

    async def run() -> None:
        parts = write_parquet(frames(), frame.schema)
        await anext(parts)
        await parts.aclose()
        with pytest.raises(TimeoutError):
            async for _ in write_parquet(frames(TimeoutError()), frame.schema):
                pass
        # At its end `asyncio.run` waits for the threads.

    asyncio.run(run())
