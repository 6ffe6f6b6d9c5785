"""Conditional requests (RFC 9110, section 13): who has the newest answer is not sent it again."""

from hashlib import blake2b
from http import HTTPStatus
from typing import Final

from litestar.datastructures import MutableScopeHeaders
from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPResponseStartEvent, Message, Receive, Scope, Send

_OF_A_BODY: Final = (b"content-length", b"content-type")


class ETags:
    """ASGI middleware that tags answers by their bytes. It holds them whole: not for streams.

    Tags are weak, since a middleware around this one may compress what they stand for.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 304 where If-None-Match names the tag of the answer."""
        if scope["type"] != ScopeType.HTTP or scope["method"] != "GET":
            await self._app(scope, receive, send)
            return
        wanted = _listed(MutableScopeHeaders(scope).get("if-none-match", ""))
        answer = _Answer(wanted, send)
        await self._app(scope, receive, answer.send)


class _Answer:
    """An answer on its way, held until it is whole."""

    def __init__(self, wanted: frozenset[str], send: Send) -> None:
        self._wanted = wanted
        self._send = send
        self._start: HTTPResponseStartEvent | None = None
        self._body = bytearray()

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] == HTTPStatus.OK:
            self._start = message
        elif self._start is None or message["type"] != "http.response.body":
            await self._send(message)
        else:
            self._body += message["body"]
            if not message["more_body"]:
                await self._finish(self._start)

    async def _finish(self, start: HTTPResponseStartEvent) -> None:
        tag = f'W/"{blake2b(self._body, digest_size=16).hexdigest()}"'
        headers = [*start["headers"], (b"etag", tag.encode())]
        status, body = HTTPStatus.OK, bytes(self._body)
        if tag in self._wanted or "*" in self._wanted:
            status, body = HTTPStatus.NOT_MODIFIED, b""
            headers = [(name, value) for name, value in headers if name not in _OF_A_BODY]
        await self._send({"type": "http.response.start", "status": status, "headers": headers})
        await self._send({"type": "http.response.body", "body": body, "more_body": False})


def _listed(header: str) -> frozenset[str]:
    """Return the tags of If-None-Match, as weak ones: that is how they are compared."""
    tags = (tag.strip() for tag in header.split(","))
    return frozenset(tag if tag == "*" or tag.startswith("W/") else f"W/{tag}" for tag in tags)
