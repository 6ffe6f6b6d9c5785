"""ASGI middleware that requests pass before a route, and their responses after it.

Litestar's own middleware is not used where it costs too much or behaves differently; each class
says why.
"""

import asyncio
import re
import time
from collections import Counter
from collections.abc import Callable, Iterable
from functools import cache
from hashlib import blake2b
from http import HTTPStatus
from typing import Final

import prometheus_client
from litestar.datastructures import Headers, MutableScopeHeaders
from litestar.enums import ScopeType
from litestar.exceptions import HTTPException
from litestar.middleware import ASGIMiddleware
from litestar.types import (
    ASGIApp,
    BeforeMessageSendHookHandler,
    HTTPDisconnectEvent,
    HTTPResponseStartEvent,
    Message,
    Receive,
    Scope,
    Send,
)

from api.representation.problems import problem

NOT_MEASURED: Final = "not_measured"
"""Key of `opt` of routes whose requests are not measured: a stream lasts as long as its reader."""

_LABELS: Final = ("method", "path", "status_code")
_REQUESTS: Final = prometheus_client.Counter(
    "mobility_api_requests", "Requests that were answered", _LABELS
)
_SECONDS: Final = prometheus_client.Histogram(
    "mobility_api_request_duration_seconds", "Duration of requests", _LABELS
)
_IN_PROGRESS: Final = prometheus_client.Gauge(
    "mobility_api_requests_in_progress", "Requests that are not answered yet"
)


class HeadRequests:
    """Answers HEAD wherever GET is, with the headers of that and no body (RFC 9110, section 9.3.2).

    Litestar routes HEAD only to handlers of its own, which return no content, and so no headers of
    it. For an endless response it is as if its client disconnects after the headers.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Route HEAD as GET; leave out what is sent after the headers."""
        if scope["type"] != ScopeType.HTTP or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return
        has_started = asyncio.Event()

        async def send_start(message: Message) -> None:
            if message["type"] == "http.response.start":
                await send(message)
                await send({"type": "http.response.body", "body": b"", "more_body": False})
                has_started.set()

        async def receive_disconnect() -> HTTPDisconnectEvent:
            await has_started.wait()
            return {"type": "http.disconnect"}

        await self._app({**scope, "method": "GET"}, receive_disconnect, send_start)


async def allow_head(message: Message, _scope: Scope) -> None:
    """Name HEAD in the Allow header of a response beside GET (a before_send hook)."""
    if message["type"] == "http.response.start":
        headers = MutableScopeHeaders(message)
        methods = headers.get("allow", "").split(", ")
        if "GET" in methods:
            headers["allow"] = ", ".join(sorted({*methods, "HEAD"}))


class RequestMetrics(ASGIMiddleware):
    """Counts and times requests by method, path template and status.

    The label is the template, as each id would be a time series of its own. Litestar's middleware
    takes a fifth of the time of a whole request: it parses the URL again, and looks its metrics up
    by name and labels eight times.
    """

    scopes = (ScopeType.HTTP,)
    exclude_opt_key = NOT_MEASURED

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Measure a request; one that other middleware rejects has the status of its error."""
        assert scope["type"] == ScopeType.HTTP  # noqa: S101 - for the types
        status: int = HTTPStatus.INTERNAL_SERVER_ERROR

        async def send_and_note_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        _IN_PROGRESS.inc()
        started = time.perf_counter()
        try:
            await next_app(scope, receive, send_and_note_status)
        except HTTPException as error:
            status = error.status_code
            raise
        finally:
            _IN_PROGRESS.dec()
            requests, seconds = _series(scope["method"], scope["path_template"], int(status))
            seconds.observe(time.perf_counter() - started)
            requests.inc()


@cache
def _series(
    method: str, template: str, status: int
) -> tuple[prometheus_client.Counter, prometheus_client.Histogram]:
    """Return the time series of these labels; there are few routes and statuses."""
    labels = (method, template, str(status))
    return _REQUESTS.labels(*labels), _SECONDS.labels(*labels)


class AllowedHosts(ASGIMiddleware):
    """Rejects requests with another Host header than this machine's names and the given ones.

    A page of another site can have a name that resolves to this machine (DNS rebinding). Litestar's
    middleware compares the name together with the port, which is any behind Docker or a tunnel, and
    its response has no problem details.
    """

    scopes = (ScopeType.HTTP,)

    _LOCAL: Final = ("127.0.0.1", "localhost", "[::1]")
    _PORT: Final = r"(:\d{1,5})?"

    def __init__(self, hosts: Iterable[str]) -> None:
        """Take names as in a URL; `*.example.org` stands for all its subdomains."""
        patterns = [
            rf"[a-z0-9-]+(\.[a-z0-9-]+)*{re.escape(host[1:])}"
            if host.startswith("*.")
            else re.escape(host)
            for host in (*self._LOCAL, *(host.lower() for host in hosts))
        ]
        self._allowed = re.compile(f"({'|'.join(patterns)}){self._PORT}")

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Continue if the host is allowed; else answer 421 (RFC 9110, section 7.4)."""
        host = Headers.from_scope(scope).get("host", "")
        if not self._allowed.fullmatch(host.lower()):
            raise problem(
                HTTPStatus.MISDIRECTED_REQUEST,
                "The API does not answer to the name in the Host header; MOBILITY_API_HOSTS sets "
                "the names that it answers to",
                slug="unknown-host",
            )
        await next_app(scope, receive, send)


class RateLimit(ASGIMiddleware):
    """Limits the requests per second of an address, and rejects those above the limit at once.

    The address is that of the connection: anybody can write a header that names another. Litestar's
    middleware keeps the time of each request in a list that it decodes and encodes for every
    request (110 µs at 4,000 requests a second), and never removes an address.
    """

    scopes = (ScopeType.HTTP,)

    _WINDOW_SECONDS: Final = 1.0

    def __init__(self, limit: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._clock = clock
        self._window_end = 0.0
        self._counts: Counter[str] = Counter()
        self._policy = (b"ratelimit-policy", b"%d;w=1" % limit)

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Count the request; continue if the address is within its limit."""
        now = self._clock()
        if now >= self._window_end:
            self._counts.clear()
            self._window_end = now + self._WINDOW_SECONDS
        client = scope["client"]
        address = client[0] if client else ""
        self._counts[address] += 1
        remaining = self._limit - self._counts[address]
        if remaining < 0:
            raise problem(
                HTTPStatus.TOO_MANY_REQUESTS,
                f"This address sent more than {self._limit:,} requests in a second",
                headers={"Retry-After": "1"},
            )
        headers = [self._policy, (b"ratelimit-remaining", b"%d" % remaining)]

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *headers]
            await send(message)

        await next_app(scope, receive, send_with_headers)


class ETags(ASGIMiddleware):
    """Conditional requests (RFC 9110, section 13): 304 if If-None-Match has the response's tag.

    A response without a tag gets one from its bytes, if they come at once; one that comes in parts
    is sent as it comes, without a tag. Tags are weak, as other middleware may compress the bytes.
    """

    scopes = (ScopeType.HTTP,)

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Compare the tag of the response to a GET with those of the request."""
        assert scope["type"] == ScopeType.HTTP  # noqa: S101 - for the types
        if scope["method"] == "GET":
            wanted = _weak_tags(Headers.from_scope(scope).get("if-none-match", ""))
            send = _TaggedResponse(wanted, send).send
        await next_app(scope, receive, send)


class _TaggedResponse:
    """A response whose start is held back until its tag is known."""

    _OF_BODY: Final = (b"content-length", b"content-type")

    def __init__(self, wanted: frozenset[str], send: Send) -> None:
        self._wanted = wanted
        self._send = send
        self._start: HTTPResponseStartEvent | None = None
        self._is_not_modified = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] == HTTPStatus.OK:
            tag = MutableScopeHeaders(message).get("etag")
            if tag is None:
                self._start = message
            else:
                await self._send_start(message, tag)
        elif message["type"] != "http.response.body":
            await self._send(message)
        elif self._start is not None and message["more_body"]:
            await self._send(self._start)
            self._start = None
            await self._send(message)
        elif self._start is not None:
            await self._send_whole(self._start, message["body"])
        else:
            body = b"" if self._is_not_modified else message["body"]
            await self._send({**message, "body": body})

    async def _send_whole(self, start: HTTPResponseStartEvent, whole: bytes) -> None:
        tag = f'W/"{blake2b(whole, digest_size=16).hexdigest()}"'
        start["headers"] = [*start["headers"], (b"etag", tag.encode())]
        await self._send_start(start, tag)
        body = b"" if self._is_not_modified else whole
        await self._send({"type": "http.response.body", "body": body, "more_body": False})

    async def _send_start(self, start: HTTPResponseStartEvent, tag: str) -> None:
        self._is_not_modified = not self._wanted.isdisjoint({"*", *_weak_tags(tag)})
        if self._is_not_modified:
            start["status"] = HTTPStatus.NOT_MODIFIED
            headers = start["headers"]
            start["headers"] = [one for one in headers if one[0].lower() not in self._OF_BODY]
        await self._send(start)


def _weak_tags(header: str) -> frozenset[str]:
    """Return the tags of If-None-Match as weak ones: strong and weak tags compare as equal."""
    tags = (tag.strip() for tag in header.split(","))
    return frozenset(tag if tag == "*" or tag.startswith("W/") else f"W/{tag}" for tag in tags)


def add_headers(headers: Iterable[tuple[bytes, bytes]]) -> BeforeMessageSendHookHandler:
    """Return the hook that adds headers to every response, errors too."""
    added = tuple(headers)

    async def add(message: Message, _scope: Scope) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], *added]

    return add
