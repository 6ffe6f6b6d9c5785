"""Ids in paths are data, whatever characters they have.

ASGI servers decode a path before it is routed, which makes `a%2Fb` two segments and `%2F` none.
"""

from typing import Final
from urllib.parse import unquote_to_bytes

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Receive, Scope, Send

_COLLECTIONS: Final = {b"/metrics/": b"/windows", b"/live/": b""}
"""Where ids follow an entity's name, and what can follow an id there."""


class WholeIds:
    """ASGI middleware: what follows `/metrics/<entity>/` is one segment, and stays encoded.

    Except for a last `/windows` after an id: an id that ends in it has its slash encoded.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Route by the path as it was sent, where an id follows."""
        if scope["type"] == ScopeType.HTTP:
            path, _, _ = scope["raw_path"].partition(b"?")
            for collection, tail in _COLLECTIONS.items():
                entity, _, rest = path.removeprefix(collection).partition(b"/")
                if path.startswith(collection) and rest:
                    whole = collection + entity + b"/" + _whole(rest, tail)
                    scope["path"] = whole.decode("latin-1")
        await self._app(scope, receive, send)


def _whole(rest: bytes, tail: bytes) -> bytes:
    entity_id = rest.removesuffix(tail)
    if not entity_id:
        return rest.replace(b"/", b"%2F")
    return entity_id.replace(b"/", b"%2F") + rest[len(entity_id) :]


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
    return entity_id if is_storable(entity_id) else None


def is_storable(entity_id: str) -> bool:
    r"""Tell whether a store can hold such an id: Postgres has no NUL, and lone surrogates no UTF-8.

    >>> is_storable("a/b"), is_storable("a\0b")
    (True, False)
    """
    try:
        return b"\0" not in entity_id.encode()
    except UnicodeEncodeError:
        return False
