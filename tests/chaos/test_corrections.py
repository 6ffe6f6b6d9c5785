"""Late and dead trips are corrected and backfilled: the batch answer is then one with them."""

import json
import os
import random
import shlex
import subprocess
import sys
from collections.abc import Iterator
from itertools import islice
from typing import Any, Final

import msgspec
import pytest
from confluent_kafka import Producer

from audit.log_messages import read_log_messages
from audit.oracle import OracleResult, run_oracle, validate_log
from audit.validation import LogMessage
from mobility.settings import to_environ
from mobility.topics import WATERMARK_HEADER, trips_topic
from tests.chaos.conftest import Figures
from tests.chaos.exact import assert_exact, assert_windows
from tests.chaos.feed import Feed
from tests.chaos.flow import ROOT
from tests.chaos.tenant import Tenant, a_day_ago
from tests.chaos.trips import MINUTE, Sent, Shape, stream

pytestmark = pytest.mark.chaos

_MESSAGES: Final = 6_000
HOUR: Final = 60 * MINUTE
_EVERY: Final = 40
"""One trip in so many has a negative price, which makes it a dead letter."""


def test_corrected_and_backfilled(tenant: Tenant, draw: random.Random, figures: Figures) -> None:
    """Every late trip and every corrected dead one is counted once, wherever it had to go."""
    start, shape = a_day_ago(), Shape(late=0.03)
    trips = stream(draw.random(), tenant.settings.partitions, start, shape)
    feed = Feed(tenant.settings, islice(_some_negative(trips), _MESSAGES))
    feed.send_all()
    tenant.flow.finish()
    before = assert_exact(tenant.settings, feed)
    expected = _with_all(tenant)

    listed = _run(tenant, "corrections", "dlq", "list", "--reason", "negative", *_JSON)
    lines = [json.loads(line) for line in listed.splitlines()]
    assert lines, "no dead letter to correct"
    corrected = tenant.folder / "corrected.ndjson"
    corrected.write_text("".join(f"{json.dumps(_corrected(line))}\n" for line in lines))
    backfills = [*_replayed(tenant, "dlq", "--with", str(corrected)), *_replayed(tenant, "late")]
    _punctuate(tenant, start + _MESSAGES * shape.step + HOUR)
    tenant.flow.finish()
    for words in backfills:
        _run(tenant, "backfill", *words, "--apply")

    assert_windows(tenant.settings, expected)
    figures(f"{before.count('late')} late, {len(lines)} dead, 0 windows differ")


_JSON: Final = ("--json", "--with-values", "--limit", str(_MESSAGES))


def _some_negative(trips: Iterator[Sent]) -> Iterator[Sent]:
    """Yield the trips, some of them and all their repeats with a price that no trip has."""
    for sent in trips:
        trip = _trip(sent.value)
        if trip is None or int(trip["trip_id"].rpartition("-")[2]) % _EVERY:
            yield sent
        else:
            yield Sent(sent.partition, json.dumps(trip | {"price": -trip["price"]}).encode())


def _trip(value: bytes | None) -> dict[str, Any] | None:
    """Return a trip of ours, None for what is poison."""
    if value is None or not value.startswith(b'{"trip_id'):
        return None
    trip: dict[str, Any] = json.loads(value)
    return trip


def _corrected(line: dict[str, Any]) -> dict[str, Any]:
    return {"position": line["position"], "trip": _positive(line["trip"])}


def _positive(trip: dict[str, Any]) -> dict[str, Any]:
    return trip | {"price": abs(trip["price"])}


def _with_all(tenant: Tenant) -> OracleResult:
    """Return the answer for the log as it ought to have been: nothing negative, nothing late."""
    patient = msgspec.structs.replace(tenant.settings, allowed_lateness=10**6)

    def batches() -> Iterator[list[LogMessage]]:
        for batch in read_log_messages(patient, trips_topic(patient)):
            yield [_as_it_ought_to_be(message) for message in batch]

    expected = run_oracle(validate_log(batches(), patient), patient)
    assert expected.count("late") == 0
    return expected


def _as_it_ought_to_be(message: LogMessage) -> LogMessage:
    trip = _trip(message.value)
    if trip is None:
        return message
    return message._replace(value=json.dumps(_positive(trip)).encode())


def _replayed(tenant: Tenant, kind: str, *arguments: str) -> list[list[str]]:
    """Replay rejected messages; return the options of the backfills to run."""
    out = str(tenant.folder / f"{kind}-for-backfill.ndjson")
    output = _run(tenant, "corrections", kind, "replay", *arguments, "--out", out)
    name = "just backfill "
    return [shlex.split(line.partition(name)[2]) for line in output.splitlines() if name in line]


def _punctuate(tenant: Tenant, moment: int) -> None:
    """Let every partition speak up to an event time, after which all windows are complete."""
    producer = Producer({"bootstrap.servers": tenant.settings.kafka})
    for partition in range(tenant.settings.partitions):
        producer.produce(
            trips_topic(tenant.settings),
            None,
            partition=partition,
            headers=[(WATERMARK_HEADER, str(moment))],
        )
    assert producer.flush(60) == 0


def _run(tenant: Tenant, module: str, *arguments: str) -> str:
    """Run one of the commands as a person does; return what it prints."""
    others = {k: v for k, v in os.environ.items() if not k.startswith("MOBILITY_")}
    run = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=tenant.folder,
        env=others | to_environ(tenant.settings) | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, f"{run.args}: {run.stdout[-2_000:]}{run.stderr[-2_000:]}"
    return run.stdout
