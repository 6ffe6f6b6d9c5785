"""Pages of rejected messages, the newest first, out of what was read of their topic."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from api.queries.time_range import EARLIEST, LATEST
from mobility.rejected_messages import Message, ReplayMarker, SourcePosition, parse_message

MAX_KEY_BYTES: Final = 256
MAX_VALUE_BYTES: Final = 1_024
_MAX_REASON: Final = 100
_MAX_DETAIL: Final = 1_000
_NEVER: Final = 2**63
"""Later than any time."""

Offsets = Mapping[int, int]
"""By partition of the topic of rejected messages."""

_Original = tuple[str, SourcePosition]


@dataclass(frozen=True, slots=True)
class CutMessage:
    """A rejected message, of which long parts are cut; the sizes are those of the whole parts.

    `topic` and `position` are those of the original. `time` is when it was appended to `trips_dlq`
    or `trips_late` (epoch ms).
    """

    topic: str
    position: SourcePosition
    time: int
    reason: str | None
    detail: str | None
    key: bytes | None
    key_size: int
    value: bytes | None
    value_size: int


@dataclass(frozen=True, slots=True)
class KeptMessage:
    """What is kept of a message of such a topic: when it was appended (epoch ms), and what it is.

    That is None if it names no source position.
    """

    time: int
    content: CutMessage | ReplayMarker | None


class Place(NamedTuple):
    """Where a rejected message is in the order of a list, which descends; offsets are `-offset`.

    The time is at most that of all newer messages of the partition: clocks may go back.
    """

    age: int
    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class ListedMessage:
    """A rejected message, and how it was replayed if a marker of that was read."""

    message: CutMessage
    replayed: str | None


@dataclass(frozen=True, slots=True)
class RejectedPage:
    """A page: its messages, and the offsets before which the next one continues, if there is one.

    Of all that was read for it: how many dead letters have which reason, the number of messages,
    and whether these are all there are from its first one on.
    """

    messages: tuple[ListedMessage, ...]
    reasons: Counter[str]
    read: int
    is_all: bool
    following: dict[int, int] | None


def keep_message(message: Message) -> KeptMessage:
    """Return what is kept of a message of `trips_dlq` or `trips_late`."""
    # A producer may set any timestamp, also one that is no date.
    time = min(max(message.timestamp()[1], EARLIEST), LATEST)
    parsed = parse_message(message)
    if parsed is None or isinstance(parsed, ReplayMarker):
        return KeptMessage(time, parsed)
    key, value = parsed.key, parsed.value
    cut = CutMessage(
        topic=parsed.topic[:_MAX_REASON],
        position=parsed.position,
        time=time,
        reason=None if parsed.reason is None else parsed.reason[:_MAX_REASON],
        detail=None if parsed.detail is None else parsed.detail[:_MAX_DETAIL],
        key=None if key is None else key[:MAX_KEY_BYTES],
        key_size=len(key or b""),
        value=None if value is None else value[:MAX_VALUE_BYTES],
        value_size=len(value or b""),
    )
    return KeptMessage(time, cut)


class RejectedRead:
    """What was read of a topic of rejected messages: each of them once, the newest first.

    Flows write a message again after a crash. `kept` has (offset, message) of each partition, the
    newest first, all from `starts` on; `begins` are the first offsets that there are.
    """

    def __init__(
        self, kept: Mapping[int, list[tuple[int, KeptMessage]]], starts: Offsets, begins: Offsets
    ) -> None:
        self._starts = starts
        self._begins = begins
        self._replayed: dict[_Original, str] = {}
        placed = [each for item in kept.items() for each in self._placed(*item)]
        placed.sort(key=lambda each: each[0])
        found: dict[_Original, tuple[Place, CutMessage]] = {}
        for place, message in placed:
            found.setdefault((message.topic, message.position), (place, message))
        self._messages = list(found.values())
        # What was not read of a partition is no newer than what was.
        self._horizon = max(
            (_oldest(kept[each]) for each in starts if starts[each] > begins[each]), default=0
        )

    def page(self, reason: str | None, limit: int) -> RejectedPage:
        """Return the newest messages of a reason, or of all.

        It has no message that is older than one that was not read, so that pages are in order.
        """
        every = self._messages
        wanted = [each for each in every if reason is None or each[1].reason == reason]
        shown = [each for each in wanted if -each[0].age >= self._horizon][:limit]
        following = dict(self._starts)
        for place, _ in wanted[len(shown) :]:
            following[place.partition] = max(following[place.partition], 1 - place.offset)
        has_more = any(following[each] > self._begins[each] for each in following)
        return RejectedPage(
            messages=tuple(
                ListedMessage(message, self._replayed.get((message.topic, message.position)))
                for _, message in shown
            ),
            reasons=Counter(message.reason for _, message in every if message.reason is not None),
            read=len(every),
            is_all=all(self._starts[each] <= self._begins[each] for each in self._starts),
            following=following if has_more else None,
        )

    def _placed(
        self, partition: int, messages: list[tuple[int, KeptMessage]]
    ) -> Iterator[tuple[Place, CutMessage]]:
        """Yield the rejected messages of a partition with their places; remember the markers."""
        time = _NEVER
        for offset, message in messages:
            time = min(time, message.time)
            content = message.content
            if isinstance(content, ReplayMarker):
                self._replayed.setdefault((content.topic, content.position), content.how)
            elif content is not None:
                yield Place(-time, partition, -offset), content


def _oldest(messages: list[tuple[int, KeptMessage]]) -> int:
    return min((message.time for _, message in messages), default=_NEVER)
