"""How far the authority is, and how far a follower is behind it."""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from api.errors import StoreUnavailableError
from api.queries.contract import FollowerPosition, SequenceNumbers
from mobility.entities import Entity

POLL_SECONDS: Final = 1.0
"""The time between two questions to the authority, besides its answer."""

_KEPT: Final = 6
"""Answers that are kept: the oldest is five seconds old."""

_log: Final = logging.getLogger(__name__)

FollowerLags = Mapping[str, int | None]
"""By name of an entity: the transactions of the authority that a follower lacks for five seconds.

None where it follows another authority or none. Without any entity this is not known.
"""


class SequenceNumberPoller:
    """Reads the sequence numbers of the authority once a second, in the background.

    A follower is current if it has the numbers of the second newest poll: it may be a second
    behind. While the authority does not answer, those that are known stay.
    """

    def __init__(self, read: Callable[[], Awaitable[SequenceNumbers]]) -> None:
        """Take the question; it raises StoreUnavailableError if the authority does not answer."""
        self._read = read
        self._known: deque[SequenceNumbers] = deque(maxlen=_KEPT)
        self._is_away = False
        self._polling: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to ask."""
        self._polling = asyncio.create_task(self._poll())

    async def close(self) -> None:
        """Ask no more."""
        if self._polling is not None:
            self._polling.cancel()
            await asyncio.gather(self._polling, return_exceptions=True)

    async def ask(self) -> None:
        """Ask once."""
        try:
            numbers = await self._read()
        except StoreUnavailableError:
            self._is_away = True
            return
        if self._known and self._known[-1].instance_id != numbers.instance_id:
            self._known.clear()
        self._known.append(numbers)

    def is_current(self, entity: Entity, position: FollowerPosition) -> bool:
        """Return whether a follower at this position may answer without the authority.

        Before the authority has answered it may not, unless the authority is away.
        """
        if not self._known:
            return self._is_away
        numbers = self._known[max(len(self._known) - 2, 0)]
        return _lag(numbers, entity.name, position) == 0

    def lags(self, positions: Mapping[str, FollowerPosition]) -> FollowerLags:
        """Return how far a follower is behind, by the position of each entity."""
        if not self._known:
            return {}
        return {name: _lag(self._known[0], name, each) for name, each in positions.items()}

    async def _poll(self) -> None:
        while True:
            try:
                await self.ask()
            except Exception:  # noqa: BLE001 - with old numbers a follower that is behind is current
                if self._known:
                    _log.exception("The sequence numbers of the authority can't be read")
                self._known.clear()
                self._is_away = False
            await asyncio.sleep(POLL_SECONDS)


def _lag(numbers: SequenceNumbers, entity: str, position: FollowerPosition) -> int | None:
    """Return the number of transactions that a follower lacks; None if it follows another store."""
    if position.follows != numbers.instance_id:
        return None
    return max(numbers.numbers.get(entity, 0) - position.number, 0)
