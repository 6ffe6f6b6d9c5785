"""How often one address may ask.

Litestar's own limit keeps the moment of each request in a list that it decodes and encodes again
for every other one (110 µs each at 4,000 a second), and forgets no address. This one counts.
"""

import time
from collections import Counter
from collections.abc import Callable
from http import HTTPStatus
from typing import Final

from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from api.representation.problems import problem

_SPAN: Final = 1.0


class Rate(ASGIMiddleware):
    """Lets an address ask so many times a second; what comes above that is refused at once.

    The address is that of the connection. A header that names another could be anybody's.
    """

    scopes = (ScopeType.HTTP,)

    def __init__(self, limit: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._clock = clock
        self._until = 0.0
        self._counts: Counter[str] = Counter()
        self._policy = (b"ratelimit-policy", b"%d;w=1" % limit)

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Count the request, and go on where there are not too many."""
        now = self._clock()
        if now >= self._until:
            self._counts.clear()
            self._until = now + _SPAN
        client = scope["client"]
        address = client[0] if client else ""
        self._counts[address] += 1
        left = self._limit - self._counts[address]
        if left < 0:
            raise problem(
                HTTPStatus.TOO_MANY_REQUESTS,
                f"More than {self._limit:,} requests a second came from this address",
                headers={"Retry-After": "1"},
            )
        said = [self._policy, (b"ratelimit-remaining", b"%d" % left)]

        async def say(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *said]
            await send(message)

        await next_app(scope, receive, say)
