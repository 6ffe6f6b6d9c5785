"""Every answer says how fresh it is: in its body where that is JSON, and in headers always."""

from datetime import datetime
from typing import Any, Final

from litestar import Response

from mobility.settings import Store

AS_OF: Final = "Mobility-As-Of"
STORE: Final = "Mobility-Store"


def freshness_headers(as_of: datetime | None, store: Store) -> dict[str, str]:
    """Return the headers of an answer.

    There is no Last-Modified: the watermark is event time, and numbers move before it does. And no
    Age: nothing here is from a cache. Who keeps an answer has to ask whether it still holds (ETag).
    """
    headers = {STORE: store, "Cache-Control": "no-cache"}
    if as_of is not None:
        headers[AS_OF] = as_of.isoformat().replace("+00:00", "Z")
    return headers


async def say_how_fresh(response: Response[Any]) -> Response[Any]:
    """Add the headers to a response whose content has `as_of` and `store` (litestar's hook).

    A coroutine, although it awaits nothing: Litestar calls what is none on another thread.
    """
    content = response.content
    if hasattr(content, "as_of") and hasattr(content, "store"):
        response.headers.update(freshness_headers(content.as_of, content.store))
    return response
