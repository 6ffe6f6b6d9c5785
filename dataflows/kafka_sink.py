"""Output to Kafka with at-least-once delivery: a snapshot waits until all is acknowledged."""

from collections.abc import Callable, Iterable
from typing import Generic, Protocol, TypeVar

from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition

from broker.producer import CheckedProducer
from dataflows.encoders import ColumnMessages, Messages
from dataflows.refusals import refused_by_kafka
from mobility.records import WindowUpdate
from mobility.settings import Settings
from runtime.flow_metrics import FlowMetrics

X = TypeVar("X")
X_contra = TypeVar("X_contra", contravariant=True)

Encode = Callable[[X], Iterable[Messages | ColumnMessages]]


class SendObserver(Protocol[X_contra]):
    """Is told what the sink has sent, and when it is delivered."""

    def sent(self, item: X_contra) -> None:
        """Record that the messages of an item were handed to the producer."""

    def before_flush(self) -> Callable[[], None]:
        """Return what to call when everything sent so far is delivered."""
        ...


class SentWindowsRecorder:
    """Records in the metrics how many windows were sent, and up to which watermark."""

    def __init__(self, metrics: FlowMetrics) -> None:
        self._metrics = metrics

    def sent(self, item: WindowUpdate) -> None:
        """Record the windows and the watermark of an update."""
        self._metrics.windows_sent += item.rows.height
        if item.watermark is not None:
            self._metrics.sent[item.entity.name, item.shard] = item.watermark

    def before_flush(self) -> Callable[[], None]:
        """Return what records the present watermarks as delivered."""
        sent = dict(self._metrics.sent)
        return lambda: self._metrics.record_delivered(sent)


class KafkaSink(FixedPartitionedSink[X, None], Generic[X]):
    """Writes the messages that `encode` makes of each item: at least once.

    Only punctuations are dropped, where an ACL denies them (`DeniedPunctuations`). Items are keyed
    by shard, see `shard_key`. All sinks of a process share its producer; recovery waits until
    everything that it was given is delivered.
    """

    def __init__(
        self,
        settings: Settings,
        producer: CheckedProducer,
        encode: Encode[X],
        observer: SendObserver[X] | None = None,
    ) -> None:
        self._shards = settings.shards
        self._producer = producer
        self._encode = encode
        self._observer = observer

    def list_parts(self) -> list[str]:
        """Return one partition a shard."""
        return [shard_key(shard) for shard in range(self._shards)]

    def part_fn(self, item_key: str) -> int:
        """Return the shard: keys are of one width, so the sorted list is in their order."""
        return int(item_key)

    def build_part(
        self, step_id: str, for_part: str, resume_state: None
    ) -> "KafkaSinkPartition[X]":
        """Return a partition; the producer connects with the first message."""
        del step_id, for_part, resume_state
        return KafkaSinkPartition(self._producer, self._encode, self._observer)


class KafkaSinkPartition(StatefulSinkPartition[X, None], Generic[X]):
    """Sends at once; the snapshot waits for the acknowledgements."""

    def __init__(
        self,
        producer: CheckedProducer,
        encode: Encode[X],
        observer: SendObserver[X] | None = None,
    ) -> None:
        self._producer = producer
        self._encode = encode
        self._observer = observer

    def write_batch(self, values: list[X]) -> None:
        """Send the messages of the items."""
        for value in values:
            for messages in self._encode(value):
                with refused_by_kafka():
                    self._send(messages)
            if self._observer is not None:
                self._observer.sent(value)

    def snapshot(self) -> None:
        """Return when everything written is delivered; raise DeliveryError where it is not.

        Where Kafka does not let the flow write there, that is a RefusalError.
        """
        delivered = None if self._observer is None else self._observer.before_flush()
        with refused_by_kafka():
            self._producer.flush()
        if delivered is not None:
            delivered()

    def close(self) -> None:
        """Deliver what is left; a failure that was raised already is not raised twice."""
        # Bytewax closes while it unwinds, where a second error would hide the first.
        if not self._producer.failed:
            with refused_by_kafka():
                self._producer.flush()

    def _send(self, messages: Messages | ColumnMessages) -> None:
        if isinstance(messages, ColumnMessages):
            self._producer.send_columns(messages.topic, messages.keys, messages.values)
        else:
            self._producer.send(
                messages.topic,
                messages.keys,
                messages.values,
                messages.headers,
                messages.partition,
            )


def shard_key(shard: int) -> str:
    """Return the key of a shard, `0000` and so on: of one width, so that order is kept."""
    return f"{shard:04}"
