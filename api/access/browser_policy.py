"""What a browser may do with answers: everything from here, and nothing from or to elsewhere."""

from typing import Final
from urllib.parse import urlsplit

from litestar.types import BeforeMessageSendHookHandler, Message, Scope

from mobility.settings import Settings

_HEADERS: Final = {
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}


def guard_browsers(settings: Settings) -> BeforeMessageSendHookHandler:
    """Return the hook that adds the headers to whatever is answered, errors and refusals too."""
    headers = [
        (name.encode(), value.encode())
        for name, value in {"content-security-policy": policy(settings), **_HEADERS}.items()
    ]

    async def add(message: Message, _scope: Scope) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], *headers]

    return add


def policy(settings: Settings) -> str:
    """Return the Content Security Policy (Level 3) of pages.

    Nothing inline may run or style, so no text can become either. Images may also come from the
    one server of map tiles that is configured.

    >>> policy(Settings(map_tiles="https://tiles.example/{z}/{x}/{y}.png")).split("; ")[1]
    "img-src 'self' data: https://tiles.example"
    """
    images = ["'self'", "data:"]
    if settings.map_tiles:
        server = urlsplit(settings.map_tiles)
        images.append(f"{server.scheme}://{server.netloc}")
    return (
        f"default-src 'self'; img-src {' '.join(images)}; form-action 'self'; "
        "base-uri 'none'; object-src 'none'; frame-ancestors 'none'"
    )
