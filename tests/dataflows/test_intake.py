"""Intake: the messages of one partition, told apart in their order."""

import hashlib
import json

import polars as pl
import pytest
from confluent_kafka import Message

from dataflows.intake import Counts, PartitionIntake, ResumeError
from mobility.enrichment import Tables
from mobility.settings import Settings
from tests.dataflows.doubles import FAR, FakeMessage, as_messages
from tests.strategies import MINUTE, NOON

PEERS = (0, 3)
TOLERANCE = 5 * MINUTE


def trip(time: int, **fields: object) -> bytes:
    """Return a trip's message."""
    record = {"start_time": time, "duration_min": 1, "distance_km": 1, "price": 1}
    return json.dumps(record | fields).encode()


def mark(text: bytes, *, name: str = "watermark") -> list[tuple[str, bytes]]:
    """Return the header of a punctuation."""
    return [(name, text)]


def messages(*fakes: FakeMessage) -> list[Message]:
    """Return messages."""
    return as_messages(fakes)


def intake(settings: Settings | None = None) -> PartitionIntake:
    """Return the intake of partition 3, of which nothing was read."""
    return PartitionIntake(3, settings or Settings(), Tables())


def test_late_and_dead_messages_keep_their_bytes_and_positions() -> None:
    """Value, key and offset are those of the log, gaps included; neighbours are counted."""
    late, broken = trip(NOON - 60 * MINUTE), b'{"broken": \xff'
    taken = intake().take(
        messages(
            FakeMessage(trip(NOON), 10),
            FakeMessage(broken, 12, named=b"\x00key"),
            FakeMessage(late, 15, named=b"d1"),
            FakeMessage(trip(NOON + 1), 16),
        ),
        "behind",
        PEERS,
    )
    assert taken.counted["row"].to_list() == [0, 3]
    assert (taken.dead.offsets, taken.dead.values, taken.dead.keys) == (
        [12],
        [broken],
        [b"\x00key"],
    )
    assert taken.dead.errors == ["not_utf8"]
    assert (taken.late.offsets, taken.late.values, taken.late.keys) == ([15], [late], [b"d1"])
    assert (taken.late.errors, taken.late.details) == ([], [])
    assert {(moved.topic, moved.partition) for moved in (taken.late, taken.dead)} == {
        ("trips_stream", 3)
    }


def test_every_message_is_counted_as_something() -> None:
    """Read is the sum of counted, late, dead, duplicates and punctuations."""
    reader = intake()
    reader.take(
        messages(
            FakeMessage(trip(NOON, trip_id="a"), 0),
            FakeMessage(trip(NOON, trip_id="a"), 1),
            FakeMessage(None, 2, marks=mark(b"%d" % (NOON + 60 * MINUTE))),
            FakeMessage(trip(NOON, trip_id="b"), 3),
            FakeMessage(None, 4),
        ),
        "behind",
        PEERS,
    )
    assert reader.counts == Counts(read=5, counted=1, late=1, dead=1, duplicates=1, punctuations=1)
    assert reader.counts + reader.counts == Counts(10, 2, 2, 2, 2, 2)
    assert reader.next_offset == 5


def test_a_partition_speaks_before_it_has_read_anything() -> None:
    """An empty batch says who is there and that nothing is known yet."""
    reader = intake()
    taken = reader.take([], "caught_up", PEERS)
    heard = taken.heard
    assert (heard.partition, heard.watermark, heard.status) == (3, None, "caught_up")
    assert heard.partitions == PEERS
    assert taken.counted.is_empty()
    assert reader.next_offset is None


def test_the_watermark_trails_the_greatest_event_time() -> None:
    """It is the prefix maximum less the out-of-orderness bound."""
    reader = intake(Settings(out_of_orderness=30))
    taken = reader.take(
        messages(FakeMessage(trip(NOON), 0), FakeMessage(trip(NOON - 5), 1)), "behind", PEERS
    )
    assert taken.heard.watermark == NOON - 30_000
    assert reader.latest == NOON


@pytest.mark.parametrize(
    "headers",
    [None, [], mark(b"soon"), mark(b""), mark(b"1.5"), mark(b"1" * 16), mark(b"1", name="water")],
)
def test_a_tombstone_is_dead_unless_it_is_a_punctuation(
    headers: list[tuple[str, bytes]] | None,
) -> None:
    """A null value counts as event time only with a header that is one."""
    reader = intake()
    taken = reader.take(messages(FakeMessage(None, 7, marks=headers)), "behind", PEERS)
    assert taken.dead.errors == ["tombstone"]
    assert taken.dead.values == [None]
    assert taken.heard.watermark is None


def test_a_punctuation_is_event_time_from_where_it_stands() -> None:
    """It moves the watermark and makes what follows late, and not what stands before it."""
    far = NOON + 60 * MINUTE
    taken = intake().take(
        messages(
            FakeMessage(trip(NOON), 0),
            FakeMessage(None, 1, marks=[("x", b"y"), ("watermark", b"%d" % far)]),
            FakeMessage(trip(NOON), 2),
        ),
        "behind",
        PEERS,
    )
    assert taken.counted["row"].to_list() == [0]
    assert taken.late.offsets == [2]
    assert taken.heard.watermark == far - 30_000


@pytest.mark.parametrize(("ahead", "errors"), [(TOLERANCE, []), (TOLERANCE + 1, ["in_future"])])
@pytest.mark.parametrize("is_punctuation", [False, True])
def test_one_bad_clock_closes_nobodys_windows(
    ahead: int, errors: list[str], *, is_punctuation: bool
) -> None:
    """What is stamped more than 5 min after its append time is dead and moves no watermark."""
    time = NOON + ahead
    fake = FakeMessage(trip(time), 1, NOON)
    if is_punctuation:
        fake = FakeMessage(None, 1, NOON, mark(b"%d" % time))
    reader = intake()
    taken = reader.take(messages(FakeMessage(trip(NOON), 0, NOON), fake), "behind", PEERS)
    assert taken.dead.errors == errors
    assert reader.latest == (NOON if errors else time)
    assert taken.counted.height == 1 + (not errors and not is_punctuation)


def test_each_message_is_held_against_its_own_append_time() -> None:
    """A batch over a long time judges its first messages as strictly as its last."""
    hour = 60 * MINUTE
    fakes = [FakeMessage(trip(NOON + hour), offset, NOON + offset * hour) for offset in range(2)]
    taken = intake().take(messages(*fakes), "behind", PEERS)
    assert taken.dead.offsets == [0]
    assert taken.counted["row"].to_list() == [1]


def test_dead_messages_of_every_kind_are_in_the_order_of_the_log() -> None:
    """Whatever is found first, offsets go up and reasons stand beside their message."""
    taken = intake().take(
        messages(
            FakeMessage(trip(FAR), 0, NOON),
            FakeMessage(None, 1, NOON),
            FakeMessage(b"x", 2, NOON),
            FakeMessage(None, 3, NOON, mark(b"%d" % FAR)),
            FakeMessage(trip(NOON), 4, NOON),
            FakeMessage(trip(FAR), 5, NOON),
        ),
        "behind",
        PEERS,
    )
    assert taken.dead.offsets == [0, 1, 2, 3, 5]
    reasons = ["in_future", "tombstone", "not_json", "in_future", "in_future"]
    assert taken.dead.errors == reasons
    assert len(taken.dead.details) == len(reasons)


def test_a_snapshot_goes_on_where_it_was_taken() -> None:
    """Offset, prefix maximum and what repeats are recognised by come back as one."""
    reader = intake()
    fakes = messages(FakeMessage(trip(NOON, trip_id="a"), 41))
    reader.take(fakes, "behind", PEERS)
    other = intake()
    other.resume(reader.snapshot())
    assert (other.next_offset, other.latest) == (42, NOON)
    again = other.take(messages(FakeMessage(trip(NOON, trip_id="a"), 42)), "behind", PEERS)
    assert again.counted.is_empty()
    assert other.counts.duplicates == 1
    assert other.snapshot().keys() == reader.snapshot().keys()


def test_a_snapshot_holds_plain_values_only() -> None:
    """State outlives renamed classes: its keys and types are stored data."""
    reader = intake()
    reader.take(messages(FakeMessage(trip(NOON), 0)), "behind", PEERS)
    kinds = {key: type(value) for key, value in reader.snapshot().items()}
    assert kinds == {
        "version": int,
        "fingerprint": str,
        "answers": str,
        "next_offset": int,
        "latest": int,
        "seen": bytes,
    }


def test_a_start_with_other_answers_is_refused_with_the_remedy() -> None:
    """The message names the settings of both sides and what to do."""
    snapshot = intake(Settings(window=60)).snapshot()
    with pytest.raises(ResumeError) as caught:
        intake(Settings(window=300)).resume(snapshot)
    text = str(caught.value)
    assert "MOBILITY_WINDOW=60 " in text
    assert "MOBILITY_WINDOW=300 " in text
    assert "new recovery folder" in text
    intake(Settings(window=60, batch_size=5)).resume(snapshot)


def test_state_of_another_version_is_refused() -> None:
    """A newer program's state is not guessed at."""
    with pytest.raises(ResumeError, match="version 99"):
        intake().resume({**intake().snapshot(), "version": 99})


def test_enriched_trips_carry_their_json_only_where_wanted() -> None:
    """The messages are spliced for counted trips alone, in their order."""
    fakes = messages(FakeMessage(b"x", 4), FakeMessage(trip(NOON, note=[1]), 5))
    assert "json" not in intake().take(fakes, "behind", PEERS).counted.columns
    counted = intake(Settings(enriched=("driver",))).take(fakes, "behind", PEERS).counted
    record = json.loads(counted["json"].item())
    assert record["log"] == {"topic": "trips_stream", "partition": 3, "offset": 5}
    assert record["note"] == [1]
    assert record["vehicle_type"] == "unknown"
    assert counted.select(pl.col("h3_region").is_null()).item()


def test_an_oversized_message_is_referred_to() -> None:
    """Its letter has no value but its size and sha256; it takes no neighbour with it."""
    large = trip(NOON, note="x" * 1_000)
    taken = intake(Settings(max_message_bytes=500)).take(
        messages(
            FakeMessage(trip(NOON), 0),
            FakeMessage(large, 1, named=b"k"),
            FakeMessage(b"{", 2),
            FakeMessage(trip(NOON), 3),
        ),
        "behind",
        PEERS,
    )
    assert taken.counted["row"].to_list() == [0, 3]
    assert taken.dead.errors == ["oversized", "not_json"]
    assert (taken.dead.values, taken.dead.keys) == ([None, b"{"], [b"k", None])
    digest = hashlib.sha256(large).hexdigest()
    assert taken.dead.details[0] == f"{len(large)} bytes, over the 500 allowed; sha256 {digest}"
