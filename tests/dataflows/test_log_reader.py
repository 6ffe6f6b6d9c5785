"""One thread for all partitions, on a real broker: positions, ends, transactions, memory."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import msgspec
import pytest
from confluent_kafka import KafkaError, Message, Producer

from broker.errors import BrokerError
from broker.offsets import OffsetQuery
from dataflows.fetch_memory import FetchMemory
from dataflows.log_reader import LogReader
from dataflows.partition_reader import Batch, PartitionBuffer, PartitionReader
from dataflows.shared_consumer import SharedConsumer
from mobility.topics import trips_topic
from runtime.failures import RefusalError
from tests.broker.topic_contents import until_marked
from tests.dataflows.conftest import PARTITIONS, Hub
from tests.waiting import until

pytestmark = pytest.mark.services

ALL = tuple(range(PARTITIONS))


def producer(hub: Hub, *, transactional: bool = False) -> Producer:
    """Return a producer that keeps the order, also of what it sends again."""
    config = {"bootstrap.servers": hub.settings.kafka, "enable.idempotence": True}
    if transactional:
        config["transactional.id"] = hub.settings.topic_prefix
    return Producer(config)


def append(hub: Hub, made: Producer, partition: int, *values: str) -> None:
    """Append messages to a partition of the log."""
    for value in values:
        made.produce(trips_topic(hub.settings), value, partition=partition)
    assert made.flush(30) == 0


@dataclass(slots=True)
class Part:
    """A reader, and what its last batch says."""

    reader: PartitionReader[Batch]
    last: Batch

    @property
    def position(self) -> int:
        """The next offset to be read."""
        return self.reader.position

    @property
    def lag(self) -> int:
        """The number of offsets that are left."""
        return self.last.lag

    @property
    def is_end_confirmed(self) -> bool:
        """Whether the broker has confirmed that nothing is left."""
        return self.last.is_end_confirmed

    def poll(self) -> list[Message]:
        """Return the messages of the next batch."""
        batch = self.reader.fetch()
        if batch is None:
            return []
        self.last = batch
        return batch.messages


def open_log(hub: Hub, **settings: object) -> tuple[LogReader[Batch], list[Part]]:
    """Return readers of all partitions from their beginning."""
    log = LogReader[Batch](
        msgspec.structs.replace(hub.settings, **({"fetch_memory_mb": 64} | settings)), list
    )
    return log, [open_part(log, hub, number) for number in ALL]


def open_part(log: LogReader[Batch], hub: Hub, number: int) -> Part:
    """Return the reader of a partition from its beginning."""
    reader = log.open(trips_topic(hub.settings), number, ALL, lambda low, _end: low)
    return Part(reader, Batch(reader.buffer.key, [], 0, 0, 1, True, False, False))


def read_until(parts: list[Part], done: Callable[[], bool]) -> list[list[Message]]:
    """Poll all partitions in turn until a condition holds; return the messages of each."""
    found: list[list[Message]] = [[] for _ in parts]

    def turn() -> bool:
        for part, messages in zip(parts, found, strict=True):
            messages.extend(part.poll())
        return done()

    until(turn, "the partitions to be read")
    return found


def at_end(parts: list[Part]) -> Callable[[], bool]:
    """Return whether no partition has any lag, and the ends are confirmed."""
    return lambda: all(part.lag == 0 and part.is_end_confirmed for part in parts)


@pytest.fixture
def log(hub: Hub) -> Hub:
    """Return a tenant with its topics."""
    hub.make_topics()
    return hub


def test_every_partition_is_read_in_its_order(log: Hub) -> None:
    """Whatever the others have, and in batches of bounded size."""
    made = producer(log)
    for partition, count in enumerate((250, 1_000, 0)):
        append(log, made, partition, *map(str, range(count)))
    _, readers = open_log(log, batch_size=100)
    found = read_until(readers, at_end(readers))
    for messages, count in zip(found, (250, 1_000, 0), strict=True):
        assert [message.value() for message in messages] == [b"%d" % n for n in range(count)]
    assert [part.position for part in readers] == [250, 1_000, 0]
    for part in readers:
        part.reader.close()


@pytest.mark.parametrize(("batch_size", "memory_mb"), [(1, 1), (1_000_000, 32_000)])
def test_the_least_and_the_greatest_settings_are_read_with(
    log: Hub, batch_size: int, memory_mb: int
) -> None:
    """Kafka's client takes what becomes of both ends of their ranges."""
    append(log, producer(log), 0, *map(str, range(200)))
    settings = msgspec.structs.replace(
        log.settings, batch_size=batch_size, fetch_memory_mb=memory_mb
    )
    part = open_part(LogReader[Batch](settings, list), log, 0)
    (found,) = read_until([part], at_end([part]))
    assert [message.value() for message in found] == [b"%d" % n for n in range(200)]
    part.reader.close()


def test_a_partition_that_is_not_polled_does_not_delay_others(log: Hub) -> None:
    """Its messages wait, and fill the memory; the others are fetched all the same."""
    made, budget = producer(log), 4 * 1024 * 1024
    for partition in (0, 1):
        append(log, made, partition, *map(str, range(30_000)))
    log_reader, parts = open_log(log, batch_size=1_000, fetch_memory_mb=4)
    (fast,) = read_until(parts[:1], lambda: parts[0].lag == 0)
    assert len(fast) == 30_000
    waiting = parts[1].reader.waiting + parts[1].reader.buffer.size
    assert 0 < waiting <= log_reader._memory._used <= budget
    rest = read_until(parts, at_end(parts))
    assert [message.value() for message in rest[1]] == [b"%d" % n for n in range(30_000)]


def test_large_messages_wait_within_the_memory(log: Hub) -> None:
    """Of all partitions together, so few messages of each; all are read in the end."""
    made = producer(log)
    for partition in ALL:
        append(log, made, partition, *("x" * 200_000 for _ in range(100)))
    log_reader, parts = open_log(log, fetch_memory_mb=16)
    (first,) = read_until(parts[:1], lambda: parts[0].lag == 0)
    assert len(first) == 100
    assert log_reader._memory._used <= 16 * 1024 * 1024
    rest = read_until(parts, at_end(parts))
    assert [len(messages) for messages in rest[1:]] == [100, 100]
    assert log_reader._memory._used == 0


def test_control_records_at_the_end_are_read(log: Hub) -> None:
    """A committed transaction ends with a marker; the position is after it."""
    made = producer(log, transactional=True)
    made.init_transactions()
    made.begin_transaction()
    append(log, made, 0, "a", "b", "c")
    made.commit_transaction()
    until_marked(log.settings, trips_topic(log.settings), 0)
    _, readers = open_log(log)
    read_until(readers, at_end(readers))
    assert (readers[0].position, readers[0].lag) == (4, 0)


def test_a_bounded_read_ends_at_control_records(log: Hub) -> None:
    """Also if a partition has nothing else."""
    made = producer(log, transactional=True)
    made.init_transactions()
    for end in (made.abort_transaction, made.commit_transaction):
        made.begin_transaction()
        for partition in (0, 1):
            append(log, made, partition, "a")
        end()
        until_marked(log.settings, trips_topic(log.settings), 0, 1)
    _, readers = open_log(log, read="once")
    found = read_until(readers, lambda: all(part.reader.is_finished for part in readers))
    assert [len(messages) for messages in found] == [1, 1, 0]


def test_an_open_transaction_is_not_lag(log: Hub) -> None:
    """Nothing after it can be read yet, so the partition is caught up until it is committed."""
    append(log, producer(log), 0, "before")
    made = producer(log, transactional=True)
    made.init_transactions()
    made.begin_transaction()
    append(log, made, 0, *map(str, range(500)))
    _, readers = open_log(log, batch_size=100)
    # The end of what is committed is reported by the next answer of the broker.
    found = read_until(readers, lambda: at_end(readers[1:])() and readers[0].lag == 0)
    assert [message.value() for message in found[0]] == [b"before"]
    assert (readers[0].lag, readers[0].last.is_behind) == (0, False)
    made.commit_transaction()
    until(lambda: len(readers[0].poll()) > 0, "the committed messages")


@pytest.mark.parametrize("commits", [True, False])
def test_a_partition_with_an_open_transaction_is_not_at_its_end(log: Hub, commits: bool) -> None:
    """Otherwise it would be idle, and punctuated, while a producer writes to it."""
    _, readers = open_log(log)
    read_until(readers, at_end(readers))
    made = producer(log, transactional=True)
    made.init_transactions()
    made.begin_transaction()
    append(log, made, 0, "open")
    read_until(readers, lambda: not readers[0].is_end_confirmed)
    # Three checks: no other answer confirms it.
    waited = time.monotonic() + 6
    read_until(readers, lambda: time.monotonic() > waited or readers[0].is_end_confirmed)
    assert at_end(readers[1:])()
    assert not readers[0].is_end_confirmed
    (made.commit_transaction if commits else made.abort_transaction)()
    found = read_until(readers, at_end(readers))
    assert [message.value() for message in found[0]] == [b"open"] * commits


def test_new_messages_end_the_confirmed_end(log: Hub) -> None:
    """A partition is at its end only until new messages arrive."""
    _, readers = open_log(log)
    read_until(readers, at_end(readers))
    append(log, producer(log), 0, "a")
    until(lambda: len(readers[0].poll()) == 1, "the new message")
    assert readers[0].position == 1
    read_until(readers, at_end(readers))


def test_an_end_is_not_confirmed_while_the_broker_does_not_answer(
    log: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A partition whose fetches fail must not count as idle."""
    now = [0.0]
    reader = LogReader[Batch](log.settings, list, clock=lambda: now[0] + time.monotonic())
    part = open_part(reader, log, 0)
    read_until([part], at_end([part]))
    monkeypatch.setattr(reader._offsets, "request_high_watermarks", lambda _partitions: {})
    until(lambda: not reader._check._asked or not part.poll(), "the answer to the last check")
    now[0] += 60
    read_until([part], lambda: not part.is_end_confirmed)
    assert part.lag == 0


@dataclass(frozen=True)
class Failure:
    """A message that is an error of a partition."""

    code: int
    partition: int

    def error(self) -> KafkaError:
        """Return the error."""
        return KafkaError(self.code)


def consumer(hub: Hub) -> tuple[SharedConsumer, PartitionBuffer]:
    """Return a consumer, and a partition at offset 2."""
    offsets = OffsetQuery(hub.settings)
    made = SharedConsumer(hub.settings, offsets, FetchMemory(64), 1)
    return made, PartitionBuffer(trips_topic(hub.settings), 0, 2, 2, hub.settings)


@pytest.mark.parametrize("code", [KafkaError._UNKNOWN_PARTITION, KafkaError.UNKNOWN_TOPIC_OR_PART])
def test_a_partition_that_a_broker_does_not_know_is_asked_for(log: Hub, code: int) -> None:
    """It is read on if it is still there; where it does not go on at the position, refused."""
    append(log, producer(log), 0, "a", "b")
    made, buffer = consumer(log)
    failure = cast("Message", Failure(code, 0))
    made._handle(buffer, failure)
    buffer.position = 100
    with pytest.raises(RefusalError, match=r"offset 100 is the next .* now holds 0 to 2"):
        made._handle(buffer, failure)


def test_passing_errors_of_a_partition_are_passed(log: Hub) -> None:
    """Fetching goes on by itself; another error ends the run, and the next one may succeed."""
    made, buffer = consumer(log)
    for code in (KafkaError.REQUEST_TIMED_OUT, KafkaError._TRANSPORT):
        made._handle(buffer, cast("Message", Failure(code, 0)))
    with pytest.raises(BrokerError, match=r"partition 0 at offset 2: Broker: Invalid message"):
        made._handle(buffer, cast("Message", Failure(KafkaError.INVALID_MSG, 0)))


class PanicError(BaseException):
    """An error that is no Exception, as Polars raises for a panic."""


@pytest.mark.parametrize("kind", [BrokerError, PanicError])
def test_an_error_in_the_thread_is_raised_by_every_fetch(
    log: Hub, kind: type[BaseException]
) -> None:
    """Otherwise workers would wait for messages for ever. The thread leaves the brokers."""

    def fail(_batches: object) -> list[Batch]:
        msg = "not decoded"
        raise kind(msg)

    reader = LogReader[Batch](log.settings, fail)
    parts = [open_part(reader, log, number) for number in ALL]
    for part in parts:
        with pytest.raises(kind, match="not decoded"):
            read_until([part], lambda: False)
    for part in parts:
        part.reader.close()
