"""Response headers that restrict what browsers do with responses of the API."""

from typing import Final
from urllib.parse import urlsplit

from mobility.settings import Settings

_HEADERS: Final = {
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}


def security_headers(settings: Settings) -> list[tuple[bytes, bytes]]:
    """Return the security headers of every response."""
    headers = {"content-security-policy": content_security_policy(settings), **_HEADERS}
    return [(name.encode(), value.encode()) for name, value in headers.items()]


def content_security_policy(settings: Settings) -> str:
    """Return the Content Security Policy (Level 3) of pages.

    It allows no inline scripts or styles, so text can't become either. Images may also come from
    the configured server of map tiles.

    >>> settings = Settings(map_tiles="https://tiles.example/{z}/{x}/{y}.png")
    >>> content_security_policy(settings).split("; ")[1]
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
