"""A token endpoint as an identity provider has it (RFC 6749, client credentials)."""

import base64
import json
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Final
from urllib.parse import parse_qs

from stack.ports import HOST
from tests.security.certificates import Certificate

SECRET: Final = "client s3cret&"  # noqa: S105 - for a test
SCOPE: Final = "kafka"


class _Handler(BaseHTTPRequestHandler):
    """Gives an unsecured token (RFC 7515, `alg` none) to whoever knows the secret."""

    def do_POST(self) -> None:
        """Answer a request for a token."""
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        kind, _, credentials = self.headers.get("Authorization", "").partition(" ")
        client, _, secret = base64.b64decode(credentials).decode().partition(":")
        granted = (kind, secret) == ("Basic", SECRET) and form["scope"] == [SCOPE]
        answer = {"access_token": _token(client), "token_type": "Bearer", "expires_in": 300}
        body = json.dumps(answer if granted else {"error": "invalid_client"}).encode()
        self.send_response(200 if granted else 401)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name in the base
        """Stay silent."""


@contextmanager
def token_endpoint(certificate: Certificate) -> Iterator[str]:
    """Serve tokens on this machine; yield the URL."""
    server = ThreadingHTTPServer((HOST, 0), _Handler)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate.certificate, certificate.key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"https://{HOST}:{server.server_port}/token"
    finally:
        server.shutdown()
        server.server_close()


def _token(client: str) -> str:
    now = int(time.time())
    claims = {"sub": client, "iat": now, "exp": now + 300, "scope": SCOPE}
    return f"{_part({'alg': 'none'})}.{_part(claims)}."


def _part(content: dict[str, object]) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=").decode()
