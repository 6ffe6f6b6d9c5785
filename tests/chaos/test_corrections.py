"""Late and dead trips are corrected and backfilled: the batch answer is then one with them."""

import json
import random
import shlex
import signal
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
from mobility.times import iso_time
from mobility.topics import WATERMARK_HEADER, trips_topic
from stack.checkout import clean_environ
from tests.backfill.killing import KILLED
from tests.chaos.conftest import ReportFigure
from tests.chaos.exact import assert_exact, assert_windows
from tests.chaos.flow_process import ROOT
from tests.chaos.steady_producer import SteadyProducer
from tests.chaos.tenant import Tenant, one_day_ago
from tests.chaos.trip_stream import MINUTE, TripMessage, TripMix, stream_messages

pytestmark = pytest.mark.chaos

_MESSAGES: Final = 6_000
HOUR: Final = 60 * MINUTE
_EVERY: Final = 40
"""One trip in so many has a negative price, which makes it a dead letter."""


def test_corrected_and_backfilled(
    tenant: Tenant, rng: random.Random, report_figure: ReportFigure
) -> None:
    """Every late trip and every corrected dead letter is counted once."""
    start, shape = one_day_ago(), TripMix(late=0.03)
    trips = stream_messages(rng.random(), tenant.settings.partitions, start, shape)
    producer = SteadyProducer(tenant.settings, islice(_some_negative(trips), _MESSAGES))
    producer.send_all()
    tenant.flow.run_to_end()
    before = assert_exact(tenant.settings, producer)
    expected = _with_all(tenant)

    listed = _run(tenant, "corrections", "dlq", "list", "--reason", "negative", *_JSON)
    lines = [json.loads(line) for line in listed.splitlines()]
    assert lines, "no dead letter to correct"
    corrected = tenant.folder / "corrected.ndjson"
    corrected.write_text("".join(f"{json.dumps(_corrected(line))}\n" for line in lines))
    backfills = [*_replayed(tenant, "dlq", "--with", str(corrected)), *_replayed(tenant, "late")]
    _punctuate(tenant, start + _MESSAGES * shape.step + HOUR)
    tenant.flow.run_to_end()
    for words in backfills:
        _run(tenant, "backfill", *words, "--apply")
    # A backfill writes to Postgres; the flow writes to Redis what has changed there.
    tenant.flow.run_to_end()

    assert_windows(tenant.settings, expected)
    _assert_audited(tenant)
    report_figure(f"{before.count('late')} late, {len(lines)} dead, 0 windows differ")


@pytest.mark.parametrize(
    "function",
    ["sinks.postgres.PostgresStore.apply", "backfill.journal.Journal.finish"],
    ids=["before Postgres", "before Redis"],
)
def test_a_backfill_that_is_killed(tenant: Tenant, rng: random.Random, function: str) -> None:
    """What it was writing is pending; the same command finishes it, and an audit compares all."""
    start, shape = one_day_ago(), TripMix(late=0.03)
    trips = stream_messages(rng.random(), tenant.settings.partitions, start, shape)
    producer = SteadyProducer(tenant.settings, islice(trips, _MESSAGES))
    producer.send_all()
    _punctuate(tenant, start + _MESSAGES * shape.step + HOUR)
    tenant.flow.run_to_end()
    command = ("--from", iso_time(start - HOUR), "--to", iso_time(start + HOUR), "--apply")
    others = clean_environ()
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, function, *command],
        cwd=tenant.folder,
        env=others | to_environ(tenant.settings) | {"PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL
    tenant.flow.run_to_end()
    audited = _run(tenant, "audit.sampling", "--all")
    assert "0 differences." in audited
    assert "applied" in _run(tenant, "backfill", *command)
    tenant.flow.run_to_end()
    _assert_audited(tenant)


def _assert_audited(tenant: Tenant) -> None:
    """Assert that an audit compares all windows, also recounted ones, and finds no difference."""
    audited = _run(tenant, "audit.sampling", "--all")
    assert "0 differences." in audited
    assert "not compared" not in audited


_JSON: Final = ("--json", "--with-values", "--limit", str(_MESSAGES))


def _some_negative(trips: Iterator[TripMessage]) -> Iterator[TripMessage]:
    """Yield the trips, some of them and their duplicates with a negative price."""
    for sent in trips:
        trip = _trip(sent.value)
        if trip is None or "price" not in trip or _number(trip) % _EVERY:
            yield sent
        else:
            yield TripMessage(sent.partition, json.dumps(trip | {"price": -trip["price"]}).encode())


def _number(trip: dict[str, Any]) -> int:
    return int(trip["trip_id"].rpartition("-")[2])


def _trip(value: bytes | None) -> dict[str, Any] | None:
    """Return the trip of a message, None for a poison message."""
    if value is None or not value.startswith(b'{"trip_id'):
        return None
    trip: dict[str, Any] = json.loads(value)
    return trip


def _corrected(line: dict[str, Any]) -> dict[str, Any]:
    return {"position": line["position"], "trip": _positive(line["trip"])}


def _positive(trip: dict[str, Any]) -> dict[str, Any]:
    return trip | {"price": abs(trip["price"])} if "price" in trip else trip


def _with_all(tenant: Tenant) -> OracleResult:
    """Return the result for the corrected log: without negative prices and late trips."""
    lenient = msgspec.structs.replace(tenant.settings, allowed_lateness=10**6)

    def batches() -> Iterator[list[LogMessage]]:
        for batch in read_log_messages(lenient, trips_topic(lenient)):
            yield [_correct_message(message) for message in batch]

    expected = run_oracle(validate_log(batches(), lenient), lenient)
    assert expected.count("late") == 0
    return expected


def _correct_message(message: LogMessage) -> LogMessage:
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
    """Send a punctuation to every partition, after which all windows are complete."""
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
    """Run a command; return its output."""
    others = clean_environ()
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
