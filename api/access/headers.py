"""What a browser may do with answers: everything from here, and nothing from or to elsewhere."""

from typing import Final

from litestar.types import Message, Scope

_POLICY: Final = (
    "default-src 'self'; img-src 'self' data:; form-action 'self'; "
    "base-uri 'none'; object-src 'none'; frame-ancestors 'none'"
)
"""Content Security Policy Level 3: no inline script or style, so no text can become either."""

_HEADERS: Final = tuple(
    (name.encode(), value.encode())
    for name, value in {
        "content-security-policy": _POLICY,
        "cross-origin-opener-policy": "same-origin",
        "permissions-policy": "camera=(), geolocation=(), microphone=()",
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
        "x-frame-options": "DENY",
    }.items()
)


async def guard_browsers(message: Message, _scope: Scope) -> None:
    """Add the security headers to whatever is answered, errors and refusals too (`before_send`)."""
    if message["type"] == "http.response.start":
        message["headers"] = [*message["headers"], *_HEADERS]
