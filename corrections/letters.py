"""Letters: messages that were not counted, as they stand in `trips_dlq` and `trips_late`."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple, cast

from confluent_kafka import Message

from mobility.settings import Settings
from mobility.topics import REPLAYED_HEADER, dead_topic, late_topic

_POSITION: Final = re.compile(r"([0-9]{1,9}):([0-9]{1,14})", re.ASCII)


class Position(NamedTuple):
    """Where a message stands in the log that it came from, written `partition:offset`."""

    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.partition}:{self.offset}"


@dataclass(frozen=True, slots=True)
class Kind:
    """One of the two topics of letters: its command's name, and how its letters are called."""

    command: str
    noun: str
    has_reasons: bool
    topic: Callable[[Settings], str]


DEAD: Final = Kind("dlq", "dead letters", has_reasons=True, topic=dead_topic)
LATE: Final = Kind("late", "late trips", has_reasons=False, topic=late_topic)
KINDS: Final = {kind.command: kind for kind in (DEAD, LATE)}


@dataclass(frozen=True, slots=True)
class Letter:
    """A message that was not counted: the original, where it came from, and what is wrong with it.

    `time` is when the flow wrote it to the topic of letters (epoch ms); `reason` and `detail` are
    None of a late trip.
    """

    topic: str
    position: Position
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
class Mark:
    """Says of a letter that it was replayed, and how: `stream` or `backfill:<file>`."""

    topic: str
    position: Position
    at: str
    how: str

    def headers(self) -> list[tuple[str, str | bytes | None]]:
        """Return the headers that are the mark: its message has no value."""
        return [
            (REPLAYED_HEADER, str(self.position)),
            ("topic", self.topic),
            ("at", self.at),
            # A file's name may be no UTF-8.
            ("how", self.how.encode(errors="surrogateescape")),
        ]


def parse_position(text: str) -> Position:
    """Read `partition:offset`; raise ValueError where it is something else."""
    match = _POSITION.fullmatch(text)
    if match is None:
        msg = f"expected partition:offset, such as 2:17, is {text}"
        raise ValueError(msg)
    return Position(int(match[1]), int(match[2]))


def read_message(message: Message) -> Letter | Mark | None:
    """Return what a message of these topics is, None where it names no position."""
    headers = cast("list[tuple[str, bytes | None]]", message.headers() or [])
    texts = {name: (value or b"").decode("utf-8", "replace") for name, value in headers}
    replayed = texts.get(REPLAYED_HEADER)
    named = replayed or f"{texts.get('partition')}:{texts.get('offset')}"
    if _POSITION.fullmatch(named) is None or "topic" not in texts:
        return None
    position, topic = parse_position(named), texts["topic"]
    if replayed is not None:
        return Mark(topic, position, texts.get("at", ""), texts.get("how", ""))
    return Letter(
        topic=topic,
        position=position,
        time=message.timestamp()[1],
        reason=texts.get("error"),
        detail=texts.get("detail"),
        key=message.key(),
        value=message.value(),
        headers=tuple(headers),
    )
