"""Messages too large to be read: dead letters by reference, and bounded memory."""

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise

import msgspec
import pytest
from confluent_kafka import Message, Producer

from dataflows.log_reader import LogReader
from dataflows.partition_reader import Batch, offset_of
from mobility.entities import BY_NAME
from mobility.settings import to_environ
from mobility.topics import trips_topic
from tests.dataflows.conftest import ROOT, Hub
from tests.strategies import NOON
from tests.waiting import DEADLINE, until

pytestmark = pytest.mark.services

MB = 1024 * 1024
LARGE = 10 * MB
SMALL = 3_000

# Descendants that were waited for count as children.
MEASURED = """
import resource, subprocess, sys
code = subprocess.call(sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(code)
"""


def trip(number: int, **fields: object) -> bytes:
    """Return one of many trips of a minute."""
    record = {"trip_id": f"t{number}", "driver_id": f"d{number % 50}", "start_time": NOON + number}
    return json.dumps({**record, "duration_min": 1, "distance_km": 1, "price": 1} | fields).encode()


def send(hub: Hub, values: list[bytes]) -> None:
    """Append large messages and small ones to the first partition."""
    producer = Producer(
        {
            "bootstrap.servers": hub.settings.kafka,
            "enable.idempotence": True,
            "max.in.flight.requests.per.connection": 1,
            "message.max.bytes": 16 * MB,
        }
    )
    failures: list[object] = []

    def noted(error: object, message: Message) -> None:
        del message
        failures.extend([error] if error else [])

    for value in values:
        producer.produce(trips_topic(hub.settings), value, "k", 0, on_delivery=noted)
        producer.poll(0)
    assert producer.flush(DEADLINE) == 0
    assert failures == []


def peak_of_a_run(hub: Hub) -> int:
    """Run the flow to the end of the log; return the highest memory of a process in KiB."""
    others = {k: v for k, v in os.environ.items() if not k.startswith("MOBILITY_")}
    settings = msgspec.structs.replace(hub.settings, read="once", batch_size=10_000)
    run = subprocess.run(
        [
            *(sys.executable, "-c", MEASURED),
            *(sys.executable, "-m", "dataflows", "-r", str(hub.recovery)),
        ],
        cwd=ROOT,
        env=others | to_environ(settings) | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-3_000:]
    return int(run.stdout.split()[-1])


def test_a_message_of_10_mb_is_a_dead_letter_by_reference(hub: Hub) -> None:
    """It has position, size and hash, and no value; the other trips are counted."""
    hub.make_topics()
    small = [trip(number) for number in range(2 * SMALL)]
    send(hub, small[:SMALL])
    before = peak_of_a_run(replace(hub, recovery=hub.recovery.with_name("other")))
    large = trip(1, note="x" * LARGE)
    send(hub, [large, *small[SMALL:]])
    after = peak_of_a_run(hub)

    (letter,) = hub.messages("trips_dlq")
    assert letter.value() is None
    assert letter.key() == b"k"
    headers = dict(letter.headers() or [])
    digest = hashlib.sha256(large).hexdigest()
    detail = f"{len(large)} bytes, over the 1048576 allowed; sha256 {digest}"
    assert headers == {
        "topic": trips_topic(hub.settings).encode(),
        "partition": b"0",
        "offset": b"%d" % SMALL,
        "error": b"oversized",
        "detail": detail.encode(),
    }
    assert hub.windows(BY_NAME["driver"])["trip_count"].sum() == 2 * SMALL
    assert after - before < 100 * 1024, f"{before} KiB without it, {after} KiB with it"


def test_a_batch_is_bounded_by_bytes(hub: Hub) -> None:
    """Large messages are read in batches of at most 32 MiB, small ones in full batches."""
    hub.make_topics()
    many = 120
    send(hub, [trip(0, note="x" * (MB - 200))] * many + [trip(1)] * 30_000)
    settings = msgspec.structs.replace(hub.settings, read="once", batch_size=10_000)
    log = LogReader[Batch](settings, list)
    reader = log.open(trips_topic(settings), 0, (0, 1, 2), lambda low, _: low)
    offsets: list[int] = []
    sizes, lengths = [], []

    def has_read() -> bool:
        batch = reader.fetch()
        if batch is not None:
            offsets.extend(offset_of(message) for message in batch.messages)
            sizes.append(sum(map(len, batch.messages)))
            lengths.append(len(batch.messages))
        return reader.is_finished

    until(has_read, "the log to be read")
    reader.close()
    jumps = [pair for pair in pairwise([-1, *offsets, many + 30_000]) if pair[1] != pair[0] + 1]
    assert jumps == []
    assert max(sizes) <= 32 * MB
    assert max(lengths) > 1_000
