"""Who may ask, from where, how often, and what a browser may do with the answer."""

from typing import Any

from litestar.config.cors import CORSConfig
from litestar.middleware import DefineMiddleware
from litestar.types import Middleware

from api.access.authentication import Authentication
from api.access.browser_policy import guard_browsers
from api.access.hosts import Hosts
from api.access.tokens import Tokens
from api.middleware import Rate
from api.status.prometheus import Counted
from mobility.settings import Settings


def access(settings: Settings, tokens: Tokens | None) -> dict[str, Any]:
    """Return what the application is given to keep: arguments of Litestar's constructor."""
    listens_at = () if settings.api_host in {"0.0.0.0", "::"} else (settings.api_host,)  # noqa: S104
    middleware: list[Middleware] = [
        # First, so that refusals are counted.
        Counted(),
        Hosts((*listens_at, *settings.api_hosts)),
    ]
    if settings.api_rate:
        middleware.append(Rate(settings.api_rate))
    if tokens is not None:
        middleware.append(DefineMiddleware(Authentication, tokens=tokens))
    return {
        "middleware": middleware,
        "before_send": [guard_browsers(settings)],
        "cors_config": _cors(settings),
    }


def _cors(settings: Settings) -> CORSConfig | None:
    """Let pages of the named origins ask; no cookie of ours goes with it, they need a token."""
    if not settings.api_origins:
        return None
    return CORSConfig(
        allow_origins=list(settings.api_origins),
        allow_methods=["GET", "POST"],
        allow_headers=["Authorization", "Content-Type", "If-None-Match", "Last-Event-ID"],
        expose_headers=["ETag", "Retry-After"],
    )
