"""A link between two processes that can be frozen or cut: a TCP proxy on this machine."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Final, Self

from stack.ports import HOST

_CHUNK: Final = 1 << 16
_END: Final = 10.0


class Link:
    """Passes bytes between its own port and a target port, both ways, until told otherwise.

    Frozen, it still accepts and keeps every connection open, and passes nothing: what is sent
    meanwhile arrives after the thaw, as after a pause of the network. `passed` counts the bytes.
    """

    def __init__(self, target: int = 0, port: int = 0) -> None:
        """Listen on `port`, 0 for any; `target` may be given later, before the first connection."""
        self.target = target
        self.port = port
        self.passed = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="link")
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

    def freeze(self) -> None:
        """Pass nothing from now on."""
        self._do(self._open.clear)

    def thaw(self) -> None:
        """Pass what has waited, and go on."""
        self._do(self._open.set)

    def cut(self) -> None:
        """Break every connection there is now, as when a machine between the two is rebooted."""
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
        with suppress(asyncio.CancelledError):  # the link is taken away
            await asyncio.gather(self._pump(near, on), self._pump(far, back))

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.CancelledError):
            while data := await source.read(_CHUNK):
                await self._open.wait()
                self.passed += len(data)
                sink.write(data)
                await sink.drain()
        # An end that closes is told to the other one, after all that it sent.
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
