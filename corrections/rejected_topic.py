"""Reading `trips_dlq` or `trips_late`: each rejected message once, with how it was replayed."""

from collections.abc import Iterator
from dataclasses import dataclass

from broker.topic_reader import OnProgress, TopicReader
from corrections.position_set import PositionSet
from mobility.rejected_messages import (
    RejectedKind,
    RejectedMessage,
    ReplayMarker,
    SourcePosition,
    parse_message,
)
from mobility.settings import Settings
from mobility.topics import trips_topic


@dataclass(frozen=True, slots=True)
class MessageFilter:
    """Which rejected messages are selected; an empty set selects all.

    `begin` (inclusive) and `end` (exclusive) limit the time at which the flow wrote the message to
    its topic (epoch ms).
    """

    reasons: frozenset[str] = frozenset()
    begin: int | None = None
    end: int | None = None
    partitions: frozenset[int] = frozenset()
    positions: frozenset[SourcePosition] = frozenset()

    def matches(self, message: RejectedMessage) -> bool:
        """Return whether a message is selected."""
        return (
            (self.begin is None or self.begin <= message.time)
            and (self.end is None or message.time < self.end)
            and (not self.reasons or message.reason in self.reasons)
            and (not self.partitions or message.position.partition in self.partitions)
            and (not self.positions or message.position in self.positions)
        )


@dataclass(frozen=True, slots=True)
class ListedMessage:
    """A rejected message and how it was replayed; None where it was not."""

    message: RejectedMessage
    replayed: str | None


class RejectedTopic:
    """A topic of rejected messages.

    `foreign` counts the messages that are not rejected messages of this trips topic.
    """

    def __init__(self, settings: Settings, kind: RejectedKind, on_progress: OnProgress) -> None:
        self.foreign = 0
        self._settings = settings
        self._topic = kind.topic(settings)
        self._source = trips_topic(settings)
        self._on_progress = on_progress

    def find(self, selected: MessageFilter) -> Iterator[ListedMessage]:
        """Yield the selected messages in the order of the topic, each source position once.

        The topic is read twice, as a marker comes after its message. No value is kept.
        """
        with TopicReader(self._settings, self._topic) as reader:
            begin = selected.begin or 0
            # Whatever was written at `begin` or later has this offset or a higher one.
            starts = {each: reader.offset_for_time(each, begin) for each in reader.partitions}
            markers = self._read_markers(reader, starts)
            found = PositionSet()
            for batch in self._read_messages(reader, starts):
                matching = [message for message in batch if selected.matches(message)]
                new = found.add([message.position for message in matching])
                for message, is_new in zip(matching, new, strict=True):
                    if is_new:
                        yield ListedMessage(message, markers.get(message.position))

    def _read_markers(
        self, reader: TopicReader, starts: dict[int, int]
    ) -> dict[SourcePosition, str]:
        markers = {}
        for batch in reader.read(starts, on_progress=self._on_progress):
            for message in batch:
                # A marker has no value, so messages with one need not be parsed twice.
                if message.value() is not None:
                    continue
                marker = parse_message(message)
                if isinstance(marker, ReplayMarker):
                    markers[marker.position] = marker.how
        return markers

    def _read_messages(
        self, reader: TopicReader, starts: dict[int, int]
    ) -> Iterator[list[RejectedMessage]]:
        for batch in reader.read(starts, on_progress=self._on_progress):
            messages = []
            for message in batch:
                parsed = parse_message(message)
                if isinstance(parsed, RejectedMessage) and parsed.topic == self._source:
                    messages.append(parsed)
                elif not isinstance(parsed, ReplayMarker):
                    self.foreign += 1
            yield messages
