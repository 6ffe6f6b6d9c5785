"""The log is not the one that was read: refused with both positions, and gone on with on demand."""

import json
import random
from collections.abc import Iterator
from itertools import islice

import msgspec
import polars as pl
import pytest
from confluent_kafka.admin import AdminClient

from audit.log_messages import read_log_messages
from audit.oracle import ValidatedLog, validate_log
from broker.topic_setup import ensure_topics
from mobility.settings import Settings
from mobility.topics import topic_table, trips_topic
from runtime.failures import EXIT_REFUSED
from tests.broker.topic_contents import delete_before
from tests.chaos.conftest import ReportFigure
from tests.chaos.exact import assert_exact
from tests.chaos.steady_producer import SteadyProducer
from tests.chaos.tenant import Tenant, one_day_ago
from tests.chaos.trip_stream import TripMessage, TripMix, stream_messages
from tests.waiting import until

pytestmark = pytest.mark.chaos

_SOME = 1_500
_LATER = 1_000_000
"""Added to the offsets of a recreated topic: its messages come after those before."""


def test_refused_until_the_gap_is_accepted(
    tenant: Tenant, rng: random.Random, report_figure: ReportFigure
) -> None:
    """A deleted offset, a recreated topic, fewer partitions: each refused, then recorded."""
    settings = tenant.settings
    start = one_day_ago()
    # Offsets repeat in a recreated topic, so there may be no late or dead messages.
    trips = stream_messages(rng.random(), settings.partitions, start, TripMix(late=0, poison=0))
    SteadyProducer(settings, islice(trips, _SOME)).send_all()
    tenant.flow.run_to_end()
    counted = _rows(settings)

    _send(settings, trips)
    first = _delete_half_of_unread(settings, counted)
    read = counted.filter(pl.col("partition") == 0).height
    _assert_refused(tenant, f"ends at offset {read}, the log begins at {first}")
    tenant.flow.run_to_end("--accept-gap")
    counted = pl.concat(
        [counted, _rows(settings).join(counted, on=["partition", "offset"], how="anti")]
    )
    assert _gaps(tenant) == [(0, read, first)]

    _recreate(settings, settings.partitions)
    _send(settings, trips)
    _assert_refused(tenant, "the topic was deleted and recreated")
    tenant.flow.run_to_end("--accept-gap")
    counted = pl.concat([counted, _rows(settings, _LATER)])

    _recreate(settings, settings.partitions - 1)
    _send(settings, (TripMessage(sent.partition % 2, sent.value) for sent in trips))
    _assert_refused(tenant, "knows 3 partitions (up to 2), the topic has 2")
    tenant.flow.run_to_end("--accept-gap")
    counted = pl.concat([counted, _rows(settings, 2 * _LATER)])

    nothing = pl.DataFrame(schema={"partition": pl.Int32, "offset": pl.Int64, "value": pl.Binary})
    log = ValidatedLog(counted.sort("partition", "offset"), nothing)
    expected = assert_exact(settings, log=log)
    report_figure(
        f"3 changes, {len(_gaps(tenant))} gaps, {expected.windows.height} windows, 0 differ"
    )


def _send(settings: Settings, messages: Iterator[TripMessage]) -> None:
    SteadyProducer(settings, islice(messages, _SOME)).send_all()


def _rows(settings: Settings, later: int = 0) -> pl.DataFrame:
    rows = validate_log(read_log_messages(settings, trips_topic(settings)), settings).rows
    return rows.with_columns(pl.col("offset") + later)


def _delete_half_of_unread(settings: Settings, counted: pl.DataFrame) -> int:
    """Delete partition 0 up to the middle of its unread messages; return its first offset."""
    read = counted.filter(pl.col("partition") == 0).height
    end = _rows(settings).filter(pl.col("partition") == 0).height
    first = (read + end) // 2
    delete_before(settings, trips_topic(settings), {0: first})
    return first


def _recreate(settings: Settings, partitions: int) -> None:
    name = trips_topic(settings)
    admin = AdminClient({"bootstrap.servers": settings.kafka})
    admin.delete_topics([name])[name].result(30)
    until(lambda: name not in admin.list_topics(timeout=30).topics, "the deletion of the topic")
    chosen = msgspec.structs.replace(settings, partitions=partitions)
    ensure_topics(settings, topic_table(chosen)[:1])


def _assert_refused(tenant: Tenant, why: str) -> None:
    tenant.flow.start(read="once")
    assert tenant.flow.wait() == EXIT_REFUSED
    assert why in tenant.flow.log.read_text()


def _gaps(tenant: Tenant) -> list[tuple[int, int | None, int | None]]:
    """Return the recorded gaps: partition, start, end."""
    text = (tenant.flow.recovery / "gaps.ndjson").read_text()
    gaps = [json.loads(line) for line in text.splitlines()]
    return [(gap["partition"], gap["start"], gap["end"]) for gap in gaps]
