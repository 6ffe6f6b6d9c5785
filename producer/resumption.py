"""A start after a crash: what is in the log beyond the saved position is not sent again."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Final

from broker.clients import QUEUE_MESSAGES
from broker.topic_reader import TopicReader
from mobility.settings import Settings
from producer.trip_writer import DeliveryCounts, TripWriter

_DIGEST_BYTES: Final = 16
_BATCH: Final = 20_000
_MEMORY_MB: Final = 128


@dataclass(frozen=True, slots=True)
class LogTail:
    """The end of a log: the next offset of each partition, and how often each message is there.

    A message is a digest of its key and value.
    """

    ends: Mapping[int, int] = field(default_factory=dict)
    messages: "Counter[bytes]" = field(default_factory=Counter)


def read_log_tail(settings: Settings, topic: str, since: Mapping[int, int] | None) -> LogTail:
    """Read a topic from these offsets on, None: no messages. Punctuations are left out.

    Raises BrokerError.
    """
    messages: Counter[bytes] = Counter()
    with TopicReader(settings, topic, memory_mb=_MEMORY_MB) as reader:
        bounds = {partition: reader.bounds(partition) for partition in reader.partitions}
        ends = {partition: end for partition, (_, end) in bounds.items()}
        if since is not None:
            starts = {
                partition: min(max(since.get(partition, 0), low), end)
                for partition, (low, end) in bounds.items()
            }
            for batch in reader.read(starts, ends, batch_size=_BATCH):
                messages.update(
                    _digest(message.key() or b"", value)
                    for message in batch
                    if (value := message.value()) is not None
                )
    return LogTail(ends, messages)


class ResumingTripWriter:
    """Passes trips on to a writer, but for those that are in the log already.

    What is sent again after a crash is the same, message by message. So a message that was found at
    the end of the log is left out, as often as it was found; a trip needs no id for that.
    """

    def __init__(self, writer: TripWriter, found: "Counter[bytes]") -> None:
        self._writer = writer
        self._found = found
        self._left = found.total()
        # A producer is ahead of what Kafka has by its queue at most: what has not come by then was
        # sent by others.
        self._look_at = self._left + QUEUE_MESSAGES

    @property
    def is_resuming(self) -> bool:
        """Whether trips that are still to come may be in the log."""
        return self._left > 0 and self._look_at > 0

    @property
    def delivered(self) -> DeliveryCounts:
        """What was delivered so far, by this run."""
        return self._writer.delivered

    def send(self, keys: Sequence[str], values: Sequence[str]) -> None:
        """Send trips in this order; wait while the queue is full."""
        if not self.is_resuming:
            self._writer.send(keys, values)
            return
        self._look_at -= len(keys)
        new = [pair for pair in zip(keys, values, strict=True) if not self._is_in_log(*pair)]
        self._writer.send([key for key, _ in new], [value for _, value in new])

    def send_punctuation(self, partition: int, event_time: int) -> None:
        """Send a punctuation with an event time (epoch ms) to a partition."""
        self._writer.send_punctuation(partition, event_time)

    def poll(self) -> None:
        """Handle delivery reports; raise DeliveryError if one is a failure."""
        self._writer.poll()

    def flush(self) -> None:
        """Wait until everything is delivered; raise DeliveryError if something failed."""
        self._writer.flush()

    def _is_in_log(self, key: str, value: str) -> bool:
        digest = _digest(key.encode(), value.encode())
        if not self._found[digest]:
            return False
        self._found[digest] -= 1
        self._left -= 1
        return True


def _digest(key: bytes, value: bytes) -> bytes:
    # With the length of the key, so that no other key and value are the same bytes.
    return blake2b(b"%d %b%b" % (len(key), key, value), digest_size=_DIGEST_BYTES).digest()
