"""The producer as a program, on real Kafka."""

import json
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME, Message

from mobility.settings import Settings
from mobility.topics import trips_topic
from tests.waiting import DEADLINE, until

Log = list[list[Message]]
Command = Callable[..., subprocess.Popen[str]]

SAMPLE = Path(__file__).parents[2] / "data" / "trips.parquet"

pytestmark = pytest.mark.services


def finished(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Wait for a process to exit; return exit code, output and errors."""
    out, err = process.communicate(timeout=DEADLINE)
    return process.returncode, out, err


def trips(messages: list[Message]) -> list[dict[str, Any]]:
    """Return the trips of messages, without punctuations."""
    return [json.loads(value) for message in messages if (value := message.value()) is not None]


def murmur2_partition(key: bytes, partitions: int) -> int:
    """Return the partition that Kafka's Java client chooses for a key."""
    mask = 0xFFFFFFFF
    hashed = 0x9747B28C ^ len(key)
    whole = len(key) // 4 * 4
    for at in range(0, whole, 4):
        word = int.from_bytes(key[at : at + 4], "little") * 0x5BD1E995 & mask
        hashed = (hashed * 0x5BD1E995 & mask) ^ ((word ^ word >> 24) * 0x5BD1E995 & mask)
    if whole < len(key):
        hashed = (hashed ^ int.from_bytes(key[whole:], "little")) * 0x5BD1E995 & mask
    hashed = (hashed ^ hashed >> 13) * 0x5BD1E995 & mask
    return ((hashed ^ hashed >> 15) & 0x7FFFFFFF) % partitions


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """Return a file with the first 5,000 trips of the sample."""
    path = tmp_path / "small.parquet"
    pl.read_parquet(SAMPLE).head(5_000).write_parquet(path)
    return path


def test_each_row_is_in_the_log_once(
    small: Path, trips_log: Callable[[], Log], command: Command
) -> None:
    """Every row is one message with every field."""
    code, out, err = finished(command("producer", small, "--speed", "max"))
    assert code == 0
    assert "small.parquet: mobility (trips as in trips_stream)" in err
    assert out.endswith("5,000 rows read = 5,000 trips + 0 left out\n")
    log = trips_log()
    assert out.startswith("5,000 trips in ")
    assert ", ".join(f"{len(messages):,}" for messages in log) in out
    rows = {row["trip_id"]: row for row in pl.read_parquet(small).iter_rows(named=True)}
    records = [record for messages in log for record in trips(messages)]
    assert len(records) == len(rows)
    for record in records:
        row = rows.pop(record["trip_id"])
        for name in ("start_time", "end_time"):
            if name in record:
                record[name] = datetime.fromisoformat(record[name])
        assert record == {name: value for name, value in row.items() if value is not None}
    assert not rows


def test_keys_partitions_order_and_stamps(
    small: Path, trips_log: Callable[[], Log], command: Command
) -> None:
    """Keys are driver or trip ids, partitions those of any client, and times never decrease."""
    finished(command("producer", small, "--speed", "max"))
    log = trips_log()
    assert sum(map(bool, log)) == len(log)
    for partition, messages in enumerate(log):
        starts = [record["start_time"] for record in trips(messages)]
        # Zero milliseconds are not written, so the order of texts is not that of times.
        times = [datetime.fromisoformat(start) for start in starts]
        assert times == sorted(times)
        for message, record in zip(messages, trips(messages), strict=True):
            key = message.key() or b""
            assert key.decode() == record.get("driver_id", record["trip_id"])
            assert murmur2_partition(key, len(log)) == partition
            assert message.timestamp()[0] == TIMESTAMP_LOG_APPEND_TIME
            assert abs(message.timestamp()[1] / 1_000 - time.time()) < 600


def test_as_is_keeps_the_disorder(
    small: Path, trips_log: Callable[[], Log], command: Command
) -> None:
    """A partition has its rows in the order of the file."""
    finished(command("producer", small, "--speed", "max", "--as-is"))
    order = {name: number for number, name in enumerate(pl.read_parquet(small)["trip_id"])}
    numbers = [[order[record["trip_id"]] for record in trips(messages)] for messages in trips_log()]
    assert all(part == sorted(part) for part in numbers)
    assert sum(map(len, numbers)) == 5_000


def test_a_missing_topic_is_reported_with_the_remedy(
    small: Path, tenant: Settings, command: Command
) -> None:
    """Exit code 2, and no topic is created, also not by a second start."""
    for _ in range(2):
        code, out, err = finished(command("producer", small))
        assert (code, out) == (2, "")
        assert f"There is no topic {trips_topic(tenant)} at" in err
        assert "create the topics with `just topics`" in err


def test_a_rebased_replay_continues_where_it_stopped(
    tmp_path: Path, trips_log: Callable[[], Log], command: Command
) -> None:
    """Past trips, then real time; SIGTERM ends it with exit code 0; nothing is sent twice."""
    now = datetime.now(UTC)
    # A trip every half second, now and for a quarter of an hour, and one at the start of the
    # file's day. After midnight those of now are at its start too.
    day = timedelta(days=1)
    midnight = datetime(2025, 6, 2, tzinfo=UTC)
    offsets = [(now - midnight + timedelta(seconds=count / 2 - 5)) % day for count in range(1_800)]
    path, state = tmp_path / "now.parquet", tmp_path / "state.json"
    starts = [midnight, *(midnight + offset for offset in offsets)]
    frame = pl.DataFrame({"start_time": starts}).with_columns(
        pl.format("t{}", pl.int_range(pl.len())).alias("trip_id"),
        duration_min=1.0,
        distance_km=1.0,
        price=1.0,
    )
    frame.write_parquet(path)
    arguments = (path, "--rebase", "now", "--density", "2", "--state", state)
    for runs, number in enumerate((signal.SIGTERM, signal.SIGINT), 1):
        began = datetime.now(UTC)
        process = command("producer", *arguments)
        until(
            lambda: progress(trips_log()),
            f"trips after {began} and {runs} punctuations in each partition",
            partial(is_past, began, runs),
        )
        process.send_signal(number)
        code, out, err = finished(process)
        assert code == 0, err
        assert "punctuations" in out
    ended = datetime.now(UTC)
    log = trips_log()
    records = [record for messages in log for record in trips(messages)]
    ids = Counter(record["trip_id"] for record in records)
    assert set(ids.values()) == {1}
    times = [datetime.fromisoformat(record["start_time"]) for record in records]
    first_day = min(times).date() + day
    assert min(times).time() == midnight.time()
    assert now.date() <= first_day <= ended.date()
    assert now < max(times) <= ended
    # Past trips are a whole loop, then the rows up to now without a gap, two of each.
    sent = json.loads(state.read_text())["position"]
    assert len(records) == 2 * (sent["loop"] * frame.height + sent["row"])
    for messages in log:
        assert_punctuations_hold(messages)


def progress(log: Log) -> tuple[datetime | None, int]:
    """Return the latest start of a trip, and how many punctuations each partition has at least."""
    starts = [record["start_time"] for messages in log for record in trips(messages)]
    counts = [sum(message.value() is None for message in messages) for messages in log]
    return max(map(datetime.fromisoformat, starts), default=None), min(counts)


def is_past(began: datetime, punctuations: int, reached: tuple[datetime | None, int]) -> bool:
    """Tell whether trips were sent in real time, and so many punctuations to each partition."""
    latest, count = reached
    return latest is not None and latest > began and count >= punctuations


def assert_punctuations_hold(messages: list[Message]) -> None:
    """Assert that there are punctuations, and that no trip after one has an earlier time."""
    watermark, count = 0, 0
    for message in messages:
        value = message.value()
        if value is None:
            headers = dict(message.headers() or [])
            assert list(headers) == ["watermark"]
            watermark = int(headers["watermark"] or b"")
            assert watermark <= message.timestamp()[1]
            count += 1
        else:
            start = datetime.fromisoformat(json.loads(value)["start_time"])
            assert start.timestamp() * 1_000 >= watermark
    assert count >= 2


@pytest.mark.parametrize("has_ids", [True, False])
def test_after_a_crash_each_row_is_in_the_log_once(
    tmp_path: Path, trips_log: Callable[[], Log], command: Command, *, has_ids: bool
) -> None:
    """After kill -9 no row is missing and none is sent twice, with ids or without."""
    path = SAMPLE
    if not has_ids:
        path = tmp_path / "no ids.parquet"
        amounts = pl.col("start_time", "duration_min", "distance_km", "price")
        # Equal trips, which only their number tells apart.
        pl.concat([pl.read_parquet(SAMPLE).select(amounts)] * 2).write_parquet(path)
    rows = pl.read_parquet(path).height
    state = tmp_path / "state.json"
    arguments = (path, "--state", state, "--speed")
    process = command("producer", *arguments, 2_000)
    until(lambda: any(map(trips, trips_log())), "trips in the log")
    process.kill()
    process.wait()
    # The saved position is behind what Kafka has: that is what must not be sent again.
    assert json.loads(state.read_text())["position"]["row"] == 0
    code, out, err = finished(command("producer", *arguments, "max"))
    assert code == 0, err
    assert int(out.split(" trips")[0].replace(",", "")) < rows
    messages = Counter(
        (message.key(), message.value())
        for part in trips_log()
        for message in part
        if message.value() is not None
    )
    assert set(messages.values()) == {1}
    assert messages.total() == rows
    code, out, _ = finished(command("producer", *arguments, "max"))
    assert (code, out.split(" trips")[0]) == (0, "0")


def test_the_end_of_the_files_is_announced_after_the_last_trip(
    tmp_path: Path, trips_log: Callable[[], Log], command: Command
) -> None:
    """An interrupted run announces nothing; the next start does, and each one after it."""
    arguments = (SAMPLE, "--final", "--state", tmp_path / "state.json", "--speed")
    latest = pl.read_parquet(SAMPLE)["start_time"].dt.epoch("ms").max()
    assert isinstance(latest, int)
    # The window has five minutes; lateness and out-of-orderness are ten and a half.
    complete = latest // 300_000 * 300_000 + 300_000 + 630_000 + 1
    process = command("producer", *arguments, 2_000)
    until(lambda: any(map(trips, trips_log())), "trips in the log")
    process.send_signal(signal.SIGINT)
    code, out, err = finished(process)
    assert code == 0, err
    assert "of 120,000 trips: the partitions are not punctuated" in out
    assert all(announced < complete for part in trips_log() for announced in watermarks(part))
    for times in (1, 2):
        code, out, err = finished(command("producer", *arguments, "max"))
        assert code == 0, err
        assert "every window of the files is complete" in out
        log = trips_log()
        assert sum(len(trips(part)) for part in log) == 120_000
        for part in log:
            assert watermarks(part)[-times:] == [complete] * times
            assert all(message.value() is None for message in part[-times:])
            assert watermarks(part).count(complete) == times


def watermarks(messages: list[Message]) -> list[int]:
    """Return the event times of the punctuations among messages."""
    return [
        int(dict(message.headers() or [])["watermark"] or b"")
        for message in messages
        if message.value() is None
    ]
