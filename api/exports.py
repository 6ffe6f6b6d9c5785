"""Exports: responses that are as long as there are rows, and how many of them there may be."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, aclosing, contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final, cast

from litestar import Response
from litestar.response.base import ASGIResponse
from litestar.types import Receive, Scope, Send

from api.disconnects import run_until_disconnect
from api.errors import StoresUnavailableError
from api.representation.problems import problem

MAX_EXPORTS: Final = 2
"""Exports at once: each uses a connection to Postgres, and a core of both while it is read."""

STALL_SECONDS: Final = 60.0
"""How long a client may not read: its transaction keeps Postgres from cleaning up."""

MAX_SECONDS: Final = 3_600.0
"""How long an export may last."""

_RETRY_SECONDS: Final = "10"

_log: Final = logging.getLogger(__name__)


class RunningExports:
    """The exports that are sent now."""

    def __init__(self, limit: int = MAX_EXPORTS) -> None:
        self._limit = limit
        self._running: set[asyncio.Task[Any]] = set()

    @contextmanager
    def claim(self) -> Iterator[None]:
        """Count the current task as an export; raises a problem if there are too many."""
        if len(self._running) >= self._limit:
            raise problem(
                HTTPStatus.SERVICE_UNAVAILABLE,
                f"{self._limit} exports are running, which is the limit",
                slug="too-many-exports",
                headers={"Retry-After": _RETRY_SECONDS},
            )
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - for the types: a coroutine runs in a task
        self._running.add(task)
        try:
            yield
        finally:
            self._running.discard(task)

    def drop_all(self) -> None:
        """End all exports: their clients find them cut off."""
        for task in self._running:
            task.cancel()


@dataclass(frozen=True, slots=True)
class Export:
    """What is sent: the headers, and the parts of the body."""

    headers: Mapping[str, str]
    parts: AsyncGenerator[bytes, None]


class ExportResponse(Response[Any]):
    """A response whose export begins when it is sent.

    Once the headers are sent, an error can't be a problem any more: the response is cut off, and
    HTTP/1.1 and 2 tell the client so.
    """

    def __init__(
        self,
        exports: RunningExports,
        begin: Callable[[], AbstractAsyncContextManager[Export]],
        media_type: str,
    ) -> None:
        super().__init__(None, media_type=media_type)
        self._exports = exports
        self._begin = begin
        self._type = media_type

    def to_asgi_response(self, *_args: Any, **_kwargs: Any) -> ASGIResponse:  # noqa: ANN401
        """Return this, as it is an ASGI application too."""
        return cast("ASGIResponse", self)

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """Send the export until its end, or until the client disconnects."""
        await run_until_disconnect(self._send(send), receive)

    async def _send(self, send: Send) -> None:
        has_started = False
        try:
            with self._exports.claim():
                async with (
                    asyncio.timeout(MAX_SECONDS),
                    self._begin() as export,
                    aclosing(export.parts) as parts,
                ):
                    # An error of the first query comes before the headers, and is a problem.
                    part = await anext(parts, b"")
                    await send(self._start(export.headers))
                    has_started = True
                    await _send_part(send, part)
                    async for part in parts:
                        await _send_part(send, part)
                    await send({"type": "http.response.body", "body": b"", "more_body": False})
        except (StoresUnavailableError, TimeoutError) as error:
            if not has_started:
                raise
            _log.warning("an export was cut off: %s", str(error) or "its client reads too slowly")

    def _start(self, headers: Mapping[str, str]) -> Any:  # noqa: ANN401 - an ASGI message
        encoded = [
            (name.lower().encode(), value.encode())
            for name, value in {"Content-Type": self._type, **headers}.items()
        ]
        return {"type": "http.response.start", "status": HTTPStatus.OK, "headers": encoded}


async def _send_part(send: Send, part: bytes) -> None:
    async with asyncio.timeout(STALL_SECONDS):
        await send({"type": "http.response.body", "body": part, "more_body": True})
