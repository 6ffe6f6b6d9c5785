"""Answers 304 where the client has what would be sent (RFC 9110, section 13.1.2)."""

from http import HTTPStatus

from litestar.datastructures import Headers, MutableScopeHeaders
from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Message, Receive, Scope, Send


class NotModified(ASGIMiddleware):
    """Litestar sends files with an ETag, and compares it with nothing: that is done here."""

    scopes = (ScopeType.HTTP,)

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Send the answer without its body if the client's copy has its ETag."""
        held = Headers.from_scope(scope).get("if-none-match")
        if held is None:
            await next_app(scope, receive, send)
            return
        tags = {tag.strip().removeprefix("W/") for tag in held.split(",")}
        is_held = False

        async def compare(message: Message) -> None:
            nonlocal is_held
            if message["type"] == "http.response.start" and message["status"] == HTTPStatus.OK:
                headers = MutableScopeHeaders(message)
                is_held = headers.get("etag", "").removeprefix("W/") in tags
                if is_held:
                    message["status"] = HTTPStatus.NOT_MODIFIED
                    headers.pop("content-length", None)
            elif message["type"] == "http.response.body" and is_held:
                message["body"] = b""
            await send(message)

        await next_app(scope, receive, compare)
