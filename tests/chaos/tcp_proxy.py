"""A TCP proxy on this machine that can pause and disconnect."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Final, Self

from stack.ports import HOST

_CHUNK: Final = 1 << 16
_END: Final = 10.0


class TcpProxy:
    """Forwards bytes between its own port and a target port, in both directions.

    While paused it accepts connections and keeps them open, and forwards nothing: bytes that are
    sent meanwhile arrive later, as after a pause of the network. `passed` counts the bytes.
    """

    def __init__(self, target: int = 0, port: int = 0) -> None:
        """Listen on `port`, 0 for any; `target` may be given later, before the first connection."""
        self.target = target
        self.port = port
        self.passed = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy")
        self._open = asyncio.Event()
        self._open.set()
        self._ends: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        self.port = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(_END)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._shut(), self._loop).result(_END)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def pause(self) -> None:
        """Forward nothing from now on."""
        self._do(self._open.clear)

    def resume(self) -> None:
        """Forward what has waited, and continue."""
        self._do(self._open.set)

    def disconnect(self) -> None:
        """Abort every present connection, as when a router between the two is restarted."""
        self._do(self._abort)

    def _do(self, action: Callable[[], None]) -> None:
        async def act() -> None:
            action()

        asyncio.run_coroutine_threadsafe(act(), self._loop).result(_END)

    async def _listen(self) -> int:
        self._server = await asyncio.start_server(self._accept, HOST, self.port)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def _accept(self, near: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        self._ends.add(back)
        try:
            await self._open.wait()
            far, on = await asyncio.open_connection(HOST, self.target)
        except (OSError, asyncio.CancelledError):
            back.transport.abort()
            self._ends.discard(back)
            return
        self._ends.add(on)
        with suppress(asyncio.CancelledError):  # the proxy is closed
            await asyncio.gather(self._pump(near, on), self._pump(far, back))

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.CancelledError):
            while data := await source.read(_CHUNK):
                await self._open.wait()
                self.passed += len(data)
                sink.write(data)
                await sink.drain()
        # The other end is closed after everything was forwarded.
        sink.close()
        self._ends.discard(sink)

    def _abort(self) -> None:
        for end in self._ends:
            end.transport.abort()
        self._ends.clear()

    async def _shut(self) -> None:
        if self._server is not None:
            self._server.close()
        self._abort()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
