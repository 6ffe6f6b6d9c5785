"""The batches of one partition: what they hold, how they are decoded, and when they are taken."""

import random
from typing import cast

from confluent_kafka import Message
from polars.testing import assert_frame_equal

from broker.offsets import Partition
from dataflows.fetch_memory import FetchMemory, size_of
from dataflows.partition_reader import Batch, PartitionBuffer, PartitionReader, offset_of
from dataflows.trip_decoder import DecodedBatch, TripDecoder
from mobility.enrichment import Tables
from mobility.settings import Settings
from mobility.trips import Decoded, decode_trips
from mobility.validation import TripRules
from runtime.rules import Rules
from tests.dataflows.doubles import FakeMessage
from tests.dataflows.test_ingest import trip
from tests.strategies import NOON

PARTITION: Partition = ("trips_stream", 0)


class SizedMessage(FakeMessage):
    """A message that has the length of its value, as those of Kafka do."""

    def __len__(self) -> int:
        """Return the length of the value."""
        return len(self.stored or b"")


def messages_at(*offsets: int, value: bytes = b"12345") -> list[Message]:
    """Return messages with these offsets."""
    return [cast("Message", SizedMessage(value, offset)) for offset in offsets]


def buffer_of(*offsets: int, end: int = 10, **settings: object) -> PartitionBuffer:
    """Return a buffer with messages at these offsets, of a log that ends there."""
    buffer = PartitionBuffer(*PARTITION, 0, end, Settings(**settings))  # type: ignore[arg-type]
    buffer.add(messages_at(*offsets))
    return buffer


def batch_of(*offsets: int, partition: Partition = PARTITION) -> Batch:
    """Return the batch of these offsets, before the end of its log."""
    found = [cast("Message", SizedMessage(trip(NOON, price=at), at)) for at in offsets]
    return Batch(partition, found, 0, offsets[-1] + 1, 3, False, False, False)


def reader_of(buffer: PartitionBuffer) -> PartitionReader[Batch]:
    """Return a reader without a thread."""
    return PartitionReader[Batch](buffer, FetchMemory(1), lambda: None, lambda _reader: None)


def test_a_batch_says_what_is_left_after_it() -> None:
    """Position and lag are those behind its messages, and of the buffered ones nothing is lost."""
    buffer = buffer_of(0, 1, 2, 5, batch_size=4)
    first = buffer.take(3, 10_000)
    assert [offset_of(message) for message in first.messages] == [0, 1, 2]
    assert (first.position, first.lag, first.is_behind) == (3, 7, True)
    assert buffer.size == size_of(1, 5)
    second = buffer.take(3, 10_000)
    assert (second.position, second.lag, second.is_behind) == (6, 4, True)
    assert (buffer.size, buffer.messages) == (0, 0)


def test_a_batch_has_at_least_one_message_however_large() -> None:
    """Otherwise a large one would never be read."""
    buffer = buffer_of(0, 1, 2)
    assert [len(buffer.take(3, most).messages) for most in (1, 2 * size_of(1, 5))] == [1, 2]


def test_the_end_is_reached_behind_the_last_message_only() -> None:
    """Control records at the end are passed when all messages are in batches (KIP-98)."""
    buffer = buffer_of(0, 1, end=4)
    buffer.reach_end(4)
    assert (buffer.position, buffer.is_at_end, buffer.is_complete) == (0, False, True)
    first = buffer.take(1, 10_000)
    assert (first.position, first.lag) == (1, 3)
    assert (buffer.take(1, 10_000).position, buffer.lag) == (4, 0)
    buffer.add(messages_at(4))
    assert not buffer.is_at_end


def test_only_what_was_not_said_is_an_update() -> None:
    """A partition without an update costs its worker nothing."""
    buffer, has_update = buffer_of(end=0), []

    def note() -> None:
        has_update.append(buffer.has_update)

    note()
    buffer.update()
    note()
    buffer.reach_end(0)
    buffer.is_end_confirmed = True
    note()
    assert buffer.update().is_end_confirmed
    buffer.add(messages_at(0))
    note()
    # The batch of the message will say what the last state says.
    assert has_update == [True, False, True, False]


def test_batches_are_taken_in_order() -> None:
    """The position is that of the last one taken, whatever waits."""
    reader = reader_of(buffer_of(0, 1, 2, 3))
    assert (reader.position, reader.fetch()) == (0, None)
    for _ in range(2):
        reader.put(reader.buffer.take(2, 10_000))
    assert reader.waiting == 4 * size_of(1, 5)
    assert reader.next_poll() is None
    for position in (2, 4):
        batch = reader.fetch()
        assert batch is not None
        assert batch.position == reader.position == position
    assert (reader.fetch(), reader.waiting) == (None, 0)


def test_a_bounded_read_is_finished_once_its_last_batch_is_taken() -> None:
    """Then the worker is called again at once, to end."""
    reader = reader_of(buffer_of(0, 1, end=2, read="once"))
    reader.put(reader.buffer.take(2, 10_000))
    before = reader.is_finished
    reader.fetch()
    assert (before, reader.is_finished, reader.next_poll()) == (False, True, None)


def test_memory_stalls_where_workers_find_nothing_and_take_nothing() -> None:
    """Then what waits is of partitions that are not read now."""
    memory, has_stalled = FetchMemory(8), []

    def ask(*readers: str) -> None:
        for reader in readers:
            memory.record_empty_poll(reader)
        has_stalled.append(memory.has_stalled)

    ask("a", "a")
    memory.add(5 * 1024 * 1024)
    ask("a", "b")
    memory.release(1)
    ask("a")
    ask("a")
    memory.release(4 * 1024 * 1024)
    ask()
    assert has_stalled == [False, False, False, True, False]


def decoder(**rules: list[Rules]) -> TripDecoder:
    """Return a decoder with the rules of partitions."""
    made = TripDecoder(Settings())
    for partition, own in rules.items():
        made.set_rules(("trips_stream", int(partition[1:])), own)
    return made


def test_a_batch_is_decoded_by_one_set_of_rules() -> None:
    """It ends where other rules come into force, and the rest is the next batch."""
    older, newer, newest = Tables(), Tables(), Tables()
    rules = [
        Rules(0, TripRules(), older),
        Rules(7, TripRules(max_bytes=1), newer),
        Rules(12, TripRules(), newest),
    ]
    decode = decoder(p0=rules).decode
    found = [*decode([batch_of(3, 4, 7)]), *decode([batch_of(8, 11, 12, 13)])]
    seen = [
        (
            [offset_of(message) for message in each.messages],
            each.position,
            each.decoded.trips.height,
            each.lag,
            each.is_behind,
        )
        for each in found
    ]
    assert seen == [
        ([3, 4], 5, 2, 4, True),
        ([7], 8, 0, 3, False),
        ([8, 11], 12, 0, 5, True),
        ([12, 13], 14, 2, 3, False),
    ]
    tables = [each.tables for each in found]
    assert all(a is b for a, b in zip(tables, (older, newer, newer, newest), strict=True))


def test_partitions_are_decoded_together_as_they_are_alone() -> None:
    """Also if they have other rules, dead letters, or no messages."""
    draw = random.Random(1)  # noqa: S311 - the same messages each time
    kinds = (trip(NOON), trip(NOON + 1, trip_id="a"), b"{", b"", trip(NOON, price="x"))
    strict = TripRules(max_bytes=50)
    own = {number: TripRules() if number != 3 else strict for number in range(8)}
    batches, expected = [], []
    for number, length in enumerate((3, 0, 40, 5, 0, 1, 17, 0)):
        values = draw.choices(kinds, k=length)
        found = [cast("Message", SizedMessage(value, at)) for at, value in enumerate(values)]
        batches.append(
            Batch(("trips_stream", number), found, 0, length, number, False, False, False)
        )
        expected.append(decode_trips(values, own[number]))
    rules = {f"p{number}": [Rules(0, each, Tables())] for number, each in own.items()}
    decoded = decoder(**rules).decode(batches)
    for batch, got, alone in zip(batches, decoded, expected, strict=True):
        assert (got.partition, got.messages, got.lag) == (
            batch.partition,
            batch.messages,
            batch.lag,
        )
        assert_equal(got, alone)


def assert_equal(got: DecodedBatch, alone: Decoded) -> None:
    """Compare a batch with its messages decoded alone."""
    assert_frame_equal(got.decoded.trips, alone.trips)
    assert_frame_equal(got.decoded.rejected, alone.rejected)
    assert list(got.decoded.objects) == list(alone.objects)
