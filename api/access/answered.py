"""Refusals of middleware become answers before they are counted."""

from typing import Any

from litestar import Request
from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.plugins.problem_details import ProblemDetailsException
from litestar.types import ASGIApp, Receive, Scope, Send


class Answered(ASGIMiddleware):
    """Sends the problem that a middleware behind this one raises.

    Litestar would do so outside of all middleware, where its own metrics have counted a 200.
    """

    scopes = (ScopeType.HTTP,)

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Go on; answer a refusal."""
        try:
            await next_app(scope, receive, send)
        except ProblemDetailsException as refusal:
            request: Request[Any, Any, Any] = Request(scope)
            answer = refusal.to_response(request).to_asgi_response(None, request)
            await answer(scope, receive, send)
