"""The messages of one partition that were fetched and not yet read, and how far they reach."""

from collections import deque

from confluent_kafka import Message


class PartitionBuffer:
    """Fetched messages of a partition, in offset order.

    `position` is the next offset to be read, `end` the end of the log when reading began.
    `reached_end` is the offset at which the broker has reported the end of the partition, None if
    messages were fetched after that.
    """

    def __init__(self, topic: str, partition: int, position: int, end: int) -> None:
        self.key = (topic, partition)
        self.position = position
        self.end = end
        self.reached_end: int | None = None
        self.is_paused = False
        self.is_end_confirmed = False
        self.size = 0
        self._messages: deque[Message] = deque()

    @property
    def name(self) -> str:
        """The partition, for people."""
        return f"{self.key[0]} partition {self.key[1]}"

    @property
    def messages(self) -> int:
        """How many messages wait."""
        return len(self._messages)

    @property
    def is_at_end(self) -> bool:
        """Whether everything up to the end of the partition is read.

        Control records and aborted transactions at the end have offsets and no messages (KIP-98).
        """
        return self.reached_end is not None and not self._messages

    def add(self, messages: list[Message]) -> None:
        """Append fetched messages."""
        if messages:
            self._messages.extend(messages)
            self.size += sum(map(len, messages))
            self.is_end_confirmed = False

    def take(self, most: int, most_bytes: int) -> list[Message]:
        """Return the next messages, at least one if there is any, and move the position."""
        if len(self._messages) <= most and self.size <= most_bytes:
            taken = list(self._messages)
            self._messages.clear()
            self.size = 0
        else:
            taken = self._take_some(most, most_bytes)
        if taken:
            self.position = max(self.position, offset_of(taken[-1]) + 1)
        if self.reached_end is not None and not self._messages:
            self.position = max(self.position, self.reached_end)
        return taken

    def _take_some(self, most: int, most_bytes: int) -> list[Message]:
        taken: list[Message] = []
        size = 0
        while self._messages and len(taken) < most:
            length = len(self._messages[0])
            if taken and size + length > most_bytes:
                break
            taken.append(self._messages.popleft())
            size += length
        self.size -= size
        return taken


def offset_of(message: Message) -> int:
    """Return the offset of a message in its partition."""
    return int(message.offset() or 0)
