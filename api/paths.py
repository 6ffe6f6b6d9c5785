"""Ids in paths are data, whatever characters they have.

ASGI servers decode a path before it is routed, which makes `a%2Fb` two segments and `%2F` none.
"""

from typing import Final
from urllib.parse import unquote_to_bytes

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Receive, Scope, Send

_COLLECTIONS: Final = (b"/metrics/", b"/live/")


class WholeIds:
    """ASGI middleware: what follows `/metrics/<entity>/` is one segment, and stays encoded."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Route by the path as it was sent, where an id follows."""
        if scope["type"] == ScopeType.HTTP:
            path, _, _ = scope["raw_path"].partition(b"?")
            for collection in _COLLECTIONS:
                entity, _, entity_id = path.removeprefix(collection).partition(b"/")
                if path.startswith(collection) and entity_id:
                    whole = collection + entity + b"/" + entity_id.replace(b"/", b"%2F")
                    scope["path"] = whole.decode("latin-1")
        await self._app(scope, receive, send)


def decode_id(segment: str) -> str | None:
    """Return the id that a path's segment encodes, None where no store can hold such an id.

    >>> decode_id("caf%C3%A9%2F7")
    'café/7'
    >>> decode_id("%FF") is None
    True
    """
    try:
        entity_id = unquote_to_bytes(segment).decode()
    except UnicodeDecodeError:
        return None
    return None if "\0" in entity_id else entity_id
