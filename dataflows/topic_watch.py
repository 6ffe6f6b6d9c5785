"""A running flow's look at its topic: partitions that were added, and a topic that was replaced."""

import logging
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Final

from confluent_kafka import KafkaException
from confluent_kafka.admin import TopicDescription  # type: ignore[attr-defined] # exported

from dataflows.board import Board
from dataflows.failures import RefusalError
from dataflows.log_topic import Ask, Topic, is_unknown, topic_from

_EVERY_SECONDS: Final = 20.0

_log: Final = logging.getLogger(__name__)


class TopicWatch:
    """Asks the broker now and then, and waits for no answer: the flow has other things to do."""

    def __init__(
        self, known: Topic, ask: Ask, board: Board, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._known = known
        self._ask = ask
        self._board = board
        self._clock = clock
        self._asked = clock()
        self._answer: Future[TopicDescription] | None = None

    def look(self) -> None:
        """Note what has changed; raise RefusalError where the topic is another one now."""
        answer = self._answer
        if answer is not None and answer.done():
            self._answer = None
            self._take(answer)
        elif answer is None and self._clock() - self._asked >= _EVERY_SECONDS:
            self._asked = self._clock()
            self._answer = self._ask()

    def _take(self, answer: "Future[TopicDescription]") -> None:
        try:
            topic = topic_from(answer.result())
        except KafkaException as error:
            if is_unknown(error):
                self._refuse("is gone")
            return  # a broker that does not answer now is asked again
        if self._known.id is not None and topic.id not in {None, self._known.id}:
            self._refuse(f"was deleted and made again (id {topic.id}, before {self._known.id})")
        unread = len(set(topic.partitions) - set(self._known.partitions))
        if unread > self._board.partitions_unread:
            _log.warning(
                "%s has %d partitions that this run does not read: restart the flow",
                topic.name,
                unread,
            )
        self._board.partitions_unread = unread

    def _refuse(self, what: str) -> None:
        msg = (
            f"The topic {self._known.name} {what} while it was being read.\nWhat is in the stores "
            "stays. A start on this recovery folder will name both positions and the remedy."
        )
        raise RefusalError(msg)
