"""Which names the API answers to: a page of another site can point a name of its own at us.

Litestar's own check holds a name together with its port against the list, and a port that Docker or
a tunnel publishes is any; it also answers with something that is no problem detail.
"""

import re
from collections.abc import Iterable
from http import HTTPStatus
from typing import Final

from litestar.datastructures import Headers
from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Receive, Scope, Send

from api.representation.problems import problem

_OURS: Final = ("127.0.0.1", "localhost", "[::1]")
_PORT: Final = r"(:\d{1,5})?"


class Hosts(ASGIMiddleware):
    """Refuses requests for other names than this machine's and the given ones."""

    scopes = (ScopeType.HTTP,)

    def __init__(self, hosts: Iterable[str]) -> None:
        """Take names as in a URL; `*.example.org` stands for all names below that one."""
        patterns = [
            rf"[a-z0-9-]+(\.[a-z0-9-]+)*{re.escape(host[1:])}"
            if host.startswith("*.")
            else re.escape(host)
            for host in (*_OURS, *(host.lower() for host in hosts))
        ]
        self._known = re.compile(f"({'|'.join(patterns)}){_PORT}")

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Go on where the name is known (RFC 9110, section 7.4)."""
        host = Headers.from_scope(scope).get("host", "")
        if not self._known.fullmatch(host.lower()):
            raise problem(
                HTTPStatus.MISDIRECTED_REQUEST,
                "The API does not go by the name that was asked for; MOBILITY_API_HOSTS says by "
                "which it does",
                slug="unknown-host",
            )
        await next_app(scope, receive, send)
