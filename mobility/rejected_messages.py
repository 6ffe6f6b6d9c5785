"""Messages that were not counted, as the flow writes them to `trips_dlq` and `trips_late`."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol, cast

from mobility.settings import Settings
from mobility.topics import REPLAYED_HEADER, dead_topic, late_topic

_POSITION: Final = re.compile(r"([0-9]{1,9}):([0-9]{1,14})", re.ASCII)


class Message(Protocol):
    """A message as a client of Kafka gives it."""

    def headers(self) -> object:
        """Return the headers, as pairs of a name and bytes."""

    def timestamp(self) -> tuple[int, int]:
        """Return the type of the timestamp, and the timestamp in epoch ms."""

    def key(self) -> bytes | None:
        """Return the key."""

    def value(self) -> bytes | None:
        """Return the value."""


class SourcePosition(NamedTuple):
    """The position of a message in the trips topic, written `partition:offset`."""

    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.partition}:{self.offset}"


@dataclass(frozen=True, slots=True)
class RejectedKind:
    """A kind of rejected messages: the command for it, what people call it, and its topic."""

    command: str
    noun: str
    has_reasons: bool
    topic: Callable[[Settings], str]


DEAD: Final = RejectedKind("dlq", "dead letters", has_reasons=True, topic=dead_topic)
LATE: Final = RejectedKind("late", "late trips", has_reasons=False, topic=late_topic)
REJECTED_KINDS: Final = {kind.command: kind for kind in (DEAD, LATE)}


@dataclass(frozen=True, slots=True)
class RejectedMessage:
    """A message that was not counted: the original, its source position and the reason.

    `topic` and `position` are those of the original. `time` is when the flow wrote the message to
    `trips_dlq` or `trips_late` (epoch ms). A late trip has no `reason` and no `detail`.
    """

    topic: str
    position: SourcePosition
    time: int
    reason: str | None
    detail: str | None
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]

    @property
    def size(self) -> int:
        """The length of the original value in bytes."""
        return len(self.value or b"")


@dataclass(frozen=True, slots=True)
class ReplayMarker:
    """A record that a rejected message was replayed: when, and how.

    `how` is `stream` or `backfill:<file>`.
    """

    topic: str
    position: SourcePosition
    at: str
    how: str

    def headers(self) -> list[tuple[str, str | bytes]]:
        """Return the headers of the marker's message, which has no value."""
        return [
            (REPLAYED_HEADER, str(self.position)),
            ("topic", self.topic),
            ("at", self.at),
            # The name of a file may not be valid UTF-8.
            ("how", self.how.encode(errors="surrogateescape")),
        ]


def parse_position(text: str) -> SourcePosition:
    """Parse `partition:offset`. Raises ValueError where the text is something else."""
    match = _POSITION.fullmatch(text)
    if match is None:
        msg = f"expected partition:offset, such as 2:17, is {text}"
        raise ValueError(msg)
    return SourcePosition(int(match[1]), int(match[2]))


def parse_message(message: Message) -> RejectedMessage | ReplayMarker | None:
    """Parse a message of these topics; return None where it names no source position."""
    headers = cast("list[tuple[str, bytes | None]]", message.headers() or [])
    texts = {name: (value or b"").decode("utf-8", "replace") for name, value in headers}
    replayed = texts.get(REPLAYED_HEADER)
    match = _POSITION.fullmatch(replayed or f"{texts.get('partition')}:{texts.get('offset')}")
    if match is None or "topic" not in texts:
        return None
    position, topic = SourcePosition(int(match[1]), int(match[2])), texts["topic"]
    if replayed is not None:
        return ReplayMarker(topic, position, texts.get("at", ""), texts.get("how", ""))
    return RejectedMessage(
        topic=topic,
        position=position,
        time=message.timestamp()[1],
        reason=texts.get("error"),
        detail=texts.get("detail"),
        key=message.key(),
        value=message.value(),
        headers=tuple(headers),
    )
