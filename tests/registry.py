"""A schema registry for tests: the documented protocol, as far as schemas are read by it.

https://docs.confluent.io/platform/current/schema-registry/develop/api.html
"""

import base64
import json
import re
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

_JSON: Final = "application/vnd.schemaregistry.v1+json"

_BY_ID: Final = re.compile(r"/schemas/ids/(\d+)")
_BY_VERSION: Final = re.compile(r"/subjects/([^/]+)/versions/(latest|\d+)")


@dataclass(slots=True)
class Contents:
    """What the registry has: schemas by id, and the ids of the versions of each subject."""

    schemas: dict[int, dict[str, Any]] = field(default_factory=dict)
    subjects: dict[str, list[int]] = field(default_factory=dict)

    def add(self, number: int, schema: object, subject: str = "", **others: object) -> None:
        """Register a schema under an id; `others` are members as `schemaType`, `references`."""
        text = schema if isinstance(schema, str) else json.dumps(schema)
        self.schemas[number] = {"schema": text, **others}
        if subject:
            self.subjects.setdefault(subject, []).append(number)

    def answer(self, path: str) -> tuple[int, dict[str, Any]]:
        """Return status and body for a path."""
        if match := _BY_ID.fullmatch(path):
            found = self.schemas.get(int(match[1]))
            return (404, _error(40403, "Schema not found")) if found is None else (200, found)
        if match := _BY_VERSION.fullmatch(path):
            subject, version = match.groups()
            numbers = self.subjects.get(subject)
            if numbers is None:
                return 404, _error(40401, f"Subject '{subject}' not found.")
            at = len(numbers) if version == "latest" else int(version)
            if at > len(numbers):
                return 404, _error(40402, f"Version {at} not found.")
            number = numbers[at - 1]
            body = {"subject": subject, "version": at, "id": number, **self.schemas[number]}
            return 200, body
        return 404, {"error_code": 404, "message": "HTTP 404 Not Found"}


def _error(code: int, message: str) -> dict[str, Any]:
    return {"error_code": code, "message": message}


class Registry:
    """A registry that can go away and come back at the same address.

    `status` is what it answers to everything, if it is set; `login` is `user:password`.
    """

    def __init__(self, login: str | None = None, tls: ssl.SSLContext | None = None) -> None:
        self.contents = Contents()
        self.login = login
        self.status: int | None = None
        self.body: bytes | None = None
        self.requests: list[str] = []
        self._tls = tls
        self._port = 0
        self._server: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        """Where it is, also while it is away."""
        return f"{'http' if self._tls is None else 'https'}://127.0.0.1:{self._port}"

    def come(self) -> None:
        """Listen."""
        self._server = _Server(("127.0.0.1", self._port), _handler(self))
        if self._tls is not None:
            self._server.socket = self._tls.wrap_socket(self._server.socket, server_side=True)
        self._port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def go(self) -> None:
        """Close the port; connections that are open are closed after their next request."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def answer(self, path: str, authorization: str | None) -> tuple[int, bytes]:
        """Return status and body, and remember the request."""
        self.requests.append(path)
        if self.status is not None:
            return self.status, self.body or b"{}"
        if self.login is not None:
            expected = f"Basic {base64.b64encode(self.login.encode()).decode()}"
            if authorization != expected:
                return 401, json.dumps(_error(401, "Unauthorized")).encode()
        status, body = self.contents.answer(path)
        return status, json.dumps(body).encode()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True


def _handler(registry: Registry) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            status, body = registry.answer(path, self.headers.get("Authorization"))
            self.send_response(status)
            self.send_header("Content-Type", _JSON)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as its base
            del format, args

    return Handler


@contextmanager
def running_registry(
    login: str | None = None, tls: ssl.SSLContext | None = None
) -> Iterator[Registry]:
    """Run a registry as long as the block does."""
    registry = Registry(login, tls)
    registry.come()
    try:
        yield registry
    finally:
        registry.go()
