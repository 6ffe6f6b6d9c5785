"""Ingest: the messages of one partition, classified in the order of the log."""

import hashlib
import json

import polars as pl
import pytest
from confluent_kafka import Message

from dataflows.ingest import PartitionIngest, ResumeError
from mobility.settings import Settings
from mobility.status import MessageCounts
from tests.dataflows.doubles import FAR, FakeMessage, as_messages, ingest
from tests.strategies import MINUTE, NOON

PEERS = (0, 3)
TOLERANCE = 5 * MINUTE


def trip(time: int, **fields: object) -> bytes:
    """Return a trip's message."""
    record = {"start_time": time, "duration_min": 1, "distance_km": 1, "price": 1}
    return json.dumps(record | fields).encode()


def watermark_header(text: bytes, *, name: str = "watermark") -> list[tuple[str, bytes]]:
    """Return the header of a punctuation."""
    return [(name, text)]


def messages(*fakes: FakeMessage) -> list[Message]:
    """Return trips as messages."""
    return as_messages(fakes)


def partition_ingest(settings: Settings | None = None) -> PartitionIngest:
    """Return the ingest of partition 3 before its first message."""
    return PartitionIngest(3, settings or Settings())


def test_late_and_dead_messages_keep_their_bytes_and_positions() -> None:
    """Value, key and offset are those of the log, also where offsets are missing."""
    late, broken = trip(NOON - 60 * MINUTE), b'{"broken": \xff'
    batch = ingest(
        partition_ingest(),
        messages(
            FakeMessage(trip(NOON), 10),
            FakeMessage(broken, 12, named=b"\x00key"),
            FakeMessage(late, 15, named=b"d1"),
            FakeMessage(trip(NOON + 1), 16),
        ),
        "behind",
        PEERS,
    )
    assert batch.trips["row"].to_list() == [0, 3]
    assert (batch.dead.offsets, batch.dead.values, batch.dead.keys) == (
        [12],
        [broken],
        [b"\x00key"],
    )
    assert batch.dead.reasons == ["not_utf8"]
    assert (batch.late.offsets, batch.late.values, batch.late.keys) == ([15], [late], [b"d1"])
    assert (batch.late.reasons, batch.late.details) == ([], [])
    assert {(moved.topic, moved.partition) for moved in (batch.late, batch.dead)} == {
        ("trips_stream", 3)
    }


def test_every_message_is_in_one_count() -> None:
    """Read is the sum of counted, late, dead, duplicates and punctuations."""
    reader = partition_ingest()
    ingest(
        reader,
        messages(
            FakeMessage(trip(NOON, trip_id="a"), 0),
            FakeMessage(trip(NOON, trip_id="a"), 1),
            FakeMessage(None, 2, marks=watermark_header(b"%d" % (NOON + 60 * MINUTE))),
            FakeMessage(trip(NOON, trip_id="b"), 3),
            FakeMessage(None, 4),
        ),
        "behind",
        PEERS,
    )
    assert reader.counts == MessageCounts(
        read=5, counted=1, late=1, dead=1, duplicates=1, punctuations=1
    )
    assert reader.counts + reader.counts == MessageCounts(10, 2, 2, 2, 2, 2)
    assert reader.next_offset == 5


def test_an_empty_batch_has_a_watermark_update() -> None:
    """It lists the partitions and has no watermark."""
    reader = partition_ingest()
    batch = ingest(reader, [], "caught_up", PEERS)
    update = batch.update
    assert (update.partition, update.watermark, update.status) == (3, None, "caught_up")
    assert update.partitions == PEERS
    assert batch.trips.is_empty()
    assert reader.next_offset is None


def test_the_watermark_trails_the_greatest_event_time() -> None:
    """It is the prefix maximum less the out-of-orderness bound."""
    reader = partition_ingest(Settings(out_of_orderness=30))
    batch = ingest(
        reader,
        messages(FakeMessage(trip(NOON), 0), FakeMessage(trip(NOON - 5), 1)),
        "behind",
        PEERS,
    )
    assert batch.update.watermark == NOON - 30_000
    assert reader._state.latest == NOON


@pytest.mark.parametrize(
    "headers",
    [
        None,
        [],
        watermark_header(b"soon"),
        watermark_header(b""),
        watermark_header(b"1.5"),
        watermark_header(b"1" * 16),
        watermark_header(b"1", name="water"),
    ],
)
def test_a_tombstone_is_dead_unless_it_is_a_punctuation(
    headers: list[tuple[str, bytes]] | None,
) -> None:
    """A null value counts as event time only with a header that is one."""
    reader = partition_ingest()
    batch = ingest(reader, messages(FakeMessage(None, 7, marks=headers)), "behind", PEERS)
    assert batch.dead.reasons == ["tombstone"]
    assert batch.dead.values == [None]
    assert batch.update.watermark is None


def test_a_punctuation_counts_from_its_offset_on() -> None:
    """It moves the watermark and makes trips after it late, but not those before it."""
    far = NOON + 60 * MINUTE
    batch = ingest(
        partition_ingest(),
        messages(
            FakeMessage(trip(NOON), 0),
            FakeMessage(None, 1, marks=[("x", b"y"), ("watermark", b"%d" % far)]),
            FakeMessage(trip(NOON), 2),
        ),
        "behind",
        PEERS,
    )
    assert batch.trips["row"].to_list() == [0]
    assert batch.late.offsets == [2]
    assert batch.update.watermark == far - 30_000


@pytest.mark.parametrize(("ahead", "errors"), [(TOLERANCE, []), (TOLERANCE + 1, ["in_future"])])
@pytest.mark.parametrize("is_punctuation", [False, True])
def test_an_event_time_in_the_future_does_not_move_the_watermark(
    ahead: int, errors: list[str], *, is_punctuation: bool
) -> None:
    """A trip more than 5 minutes ahead of its append time becomes a dead letter."""
    time = NOON + ahead
    fake = FakeMessage(trip(time), 1, NOON)
    if is_punctuation:
        fake = FakeMessage(None, 1, NOON, watermark_header(b"%d" % time))
    reader = partition_ingest()
    batch = ingest(reader, messages(FakeMessage(trip(NOON), 0, NOON), fake), "behind", PEERS)
    assert batch.dead.reasons == errors
    assert reader._state.latest == (NOON if errors else time)
    assert batch.trips.height == 1 + (not errors and not is_punctuation)


def test_each_message_is_compared_with_its_own_append_time() -> None:
    """Also in a batch that covers a long time."""
    hour = 60 * MINUTE
    fakes = [FakeMessage(trip(NOON + hour), offset, NOON + offset * hour) for offset in range(2)]
    batch = ingest(partition_ingest(), messages(*fakes), "behind", PEERS)
    assert batch.dead.offsets == [0]
    assert batch.trips["row"].to_list() == [1]


def test_dead_messages_of_every_kind_are_in_the_order_of_the_log() -> None:
    """Offsets ascend, and each has its own reason, in whichever order the faults are found."""
    batch = ingest(
        partition_ingest(),
        messages(
            FakeMessage(trip(FAR), 0, NOON),
            FakeMessage(None, 1, NOON),
            FakeMessage(b"x", 2, NOON),
            FakeMessage(None, 3, NOON, watermark_header(b"%d" % FAR)),
            FakeMessage(trip(NOON), 4, NOON),
            FakeMessage(trip(FAR), 5, NOON),
        ),
        "behind",
        PEERS,
    )
    assert batch.dead.offsets == [0, 1, 2, 3, 5]
    reasons = ["in_future", "tombstone", "not_json", "in_future", "in_future"]
    assert batch.dead.reasons == reasons
    assert len(batch.dead.details) == len(reasons)


def test_a_snapshot_restores_the_whole_state() -> None:
    """Offset, greatest event time and dedupe state."""
    reader = partition_ingest()
    fakes = messages(FakeMessage(trip(NOON, trip_id="a"), 41))
    ingest(reader, fakes, "behind", PEERS)
    other = partition_ingest()
    other.resume(reader.snapshot())
    assert (other.next_offset, other._state.latest) == (42, NOON)
    again = ingest(other, messages(FakeMessage(trip(NOON, trip_id="a"), 42)), "behind", PEERS)
    assert again.trips.is_empty()
    assert other.counts.duplicates == 1
    assert other.snapshot().keys() == reader.snapshot().keys()


def test_a_snapshot_holds_plain_values_only() -> None:
    """State is read after classes were renamed: its keys and types are stored data."""
    reader = partition_ingest()
    ingest(reader, messages(FakeMessage(trip(NOON, trip_id="a"), 0)), "behind", PEERS)
    snapshot = reader.snapshot()
    kinds = {key: type(value) for key, value in snapshot.items()}
    assert kinds == {
        "version": int,
        "fingerprint": str,
        "answers": str,
        "next_offset": int,
        "latest": int,
        "seen": list,
    }
    assert [(type(bucket), type(keys)) for bucket, keys in snapshot["seen"]] == [(int, bytes)]


def test_a_start_with_other_answer_settings_is_refused() -> None:
    """The message has the settings of both and the remedy."""
    snapshot = partition_ingest(Settings(window=60)).snapshot()
    with pytest.raises(ResumeError) as caught:
        partition_ingest(Settings(window=300)).resume(snapshot)
    text = str(caught.value)
    assert "MOBILITY_WINDOW=60 " in text
    assert "MOBILITY_WINDOW=300 " in text
    assert "new recovery folder" in text
    partition_ingest(Settings(window=60, batch_size=5)).resume(snapshot)


def test_a_state_of_version_1_is_resumed() -> None:
    """Its dedupe state was one frame of all keys, with their window starts."""
    reader = partition_ingest()
    batch = [FakeMessage(trip(NOON + 5 * MINUTE * n, trip_id="a"), n) for n in range(3)]
    ingest(reader, messages(*batch), "behind", PEERS)
    keys = reader._state.dedupe_state.to_frame().rename({"bucket": "window_start"})
    seen = keys.write_ipc(None, compression="zstd").getvalue()
    old = partition_ingest()
    old.resume({**reader.snapshot(), "version": 1, "seen": seen})
    again = [FakeMessage(trip(NOON + 5 * MINUTE * n, trip_id="a"), 3 + n) for n in range(4)]
    assert ingest(old, messages(*again), "behind", PEERS).trips["row"].to_list() == [3]
    assert old.counts.duplicates == 3
    assert old.snapshot()["version"] == 2


def test_state_of_an_unknown_version_is_refused() -> None:
    """As after a start of an older release."""
    with pytest.raises(ResumeError, match="version 99"):
        partition_ingest().resume({**partition_ingest().snapshot(), "version": 99})


def test_enriched_trips_have_json_only_if_it_is_configured() -> None:
    """Only counted trips have it, in their order."""
    fakes = messages(FakeMessage(b"x", 4), FakeMessage(trip(NOON, note=[1]), 5))
    assert "json" not in ingest(partition_ingest(), fakes, "behind", PEERS).trips.columns
    counted = ingest(partition_ingest(Settings(enriched=("driver",))), fakes, "behind", PEERS).trips
    record = json.loads(counted["json"].item())
    assert record["log"] == {"topic": "trips_stream", "partition": 3, "offset": 5}
    assert record["note"] == [1]
    assert record["vehicle_type"] == "unknown"
    assert counted.select(pl.col("h3_region").is_null()).item()


def test_an_oversized_message_is_dead_by_reference() -> None:
    """The dead letter has no value but its size and sha256; other messages are not affected."""
    large = trip(NOON, note="x" * 1_000)
    batch = ingest(
        partition_ingest(Settings(max_message_bytes=500)),
        messages(
            FakeMessage(trip(NOON), 0),
            FakeMessage(large, 1, named=b"k"),
            FakeMessage(b"{", 2),
            FakeMessage(trip(NOON), 3),
        ),
        "behind",
        PEERS,
    )
    assert batch.trips["row"].to_list() == [0, 3]
    assert batch.dead.reasons == ["oversized", "not_json"]
    assert (batch.dead.values, batch.dead.keys) == ([None, b"{"], [b"k", None])
    digest = hashlib.sha256(large).hexdigest()
    assert batch.dead.details[0] == f"{len(large)} bytes, over the 500 allowed; sha256 {digest}"
