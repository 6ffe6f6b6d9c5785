"""The log is not the one that was read: refused with both positions, and gone on with on demand."""

import json
import random
from collections.abc import Iterator
from itertools import islice

import msgspec
import polars as pl
import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from audit.log_messages import read_log_messages
from audit.oracle import ValidatedLog, validate_log
from broker.topic_setup import ensure_topics
from mobility.settings import Settings
from mobility.topics import topic_table, trips_topic
from runtime.failures import EXIT_REFUSED
from tests.chaos.conftest import Figures
from tests.chaos.exact import assert_exact
from tests.chaos.feed import Feed
from tests.chaos.tenant import Tenant, a_day_ago
from tests.chaos.trips import Sent, Shape, stream
from tests.waiting import until

pytestmark = pytest.mark.chaos

_SOME = 1_500
_LATER = 1_000_000
"""Added to the offsets of a topic that was made again: its messages come after those before."""


def test_refused_until_the_gap_is_accepted(
    tenant: Tenant, draw: random.Random, figures: Figures
) -> None:
    """An offset that is gone, a topic made again, fewer partitions: each refused, then recorded."""
    settings = tenant.settings
    start = a_day_ago()
    # Positions repeat in a topic that is made again, so none may be told of in the letters.
    trips = stream(draw.random(), settings.partitions, start, Shape(late=0, poison=0))
    Feed(settings, islice(trips, _SOME)).send_all()
    tenant.flow.finish()
    counted = _rows(settings)

    _send(settings, trips)
    first = _remove_half_of_the_news(settings, counted)
    read = counted.filter(pl.col("partition") == 0).height
    _assert_refused(tenant, f"ends at offset {read}, the log begins at {first}")
    tenant.flow.finish("--accept-gap")
    counted = pl.concat(
        [counted, _rows(settings).join(counted, on=["partition", "offset"], how="anti")]
    )
    assert _gaps(tenant) == [(0, read, first)]

    _make_again(settings, settings.partitions)
    _send(settings, trips)
    _assert_refused(tenant, "the topic was deleted and recreated")
    tenant.flow.finish("--accept-gap")
    counted = pl.concat([counted, _rows(settings, _LATER)])

    _make_again(settings, settings.partitions - 1)
    _send(settings, (Sent(sent.partition % 2, sent.value) for sent in trips))
    _assert_refused(tenant, "knows 3 partitions (up to 2), the topic has 2")
    tenant.flow.finish("--accept-gap")
    counted = pl.concat([counted, _rows(settings, 2 * _LATER)])

    nothing = pl.DataFrame(schema={"partition": pl.Int32, "offset": pl.Int64, "value": pl.Binary})
    log = ValidatedLog(counted.sort("partition", "offset"), nothing)
    expected = assert_exact(settings, log=log)
    figures(f"3 surprises, {len(_gaps(tenant))} gaps, {expected.windows.height} windows, 0 differ")


def _send(settings: Settings, messages: Iterator[Sent]) -> None:
    Feed(settings, islice(messages, _SOME)).send_all()


def _rows(settings: Settings, later: int = 0) -> pl.DataFrame:
    rows = validate_log(read_log_messages(settings, trips_topic(settings)), settings).rows
    return rows.with_columns(pl.col("offset") + later)


def _remove_half_of_the_news(settings: Settings, counted: pl.DataFrame) -> int:
    """Remove partition 0 up to the middle of what is not read; return where it begins now."""
    read = counted.filter(pl.col("partition") == 0).height
    end = _rows(settings).filter(pl.col("partition") == 0).height
    place = TopicPartition(trips_topic(settings), 0, (read + end) // 2)
    admin = AdminClient({"bootstrap.servers": settings.kafka})
    for removed in admin.delete_records([place]).values():
        assert removed.result(30).low_watermark == place.offset
    return int(place.offset)


def _make_again(settings: Settings, partitions: int) -> None:
    name = trips_topic(settings)
    admin = AdminClient({"bootstrap.servers": settings.kafka})
    admin.delete_topics([name])[name].result(30)
    until(lambda: name not in admin.list_topics(timeout=30).topics, "the topic to be gone")
    chosen = msgspec.structs.replace(settings, partitions=partitions)
    ensure_topics(settings, topic_table(chosen)[:1])


def _assert_refused(tenant: Tenant, why: str) -> None:
    tenant.flow.start(read="once")
    assert tenant.flow.wait() == EXIT_REFUSED
    assert why in tenant.flow.log.read_text()


def _gaps(tenant: Tenant) -> list[tuple[int, int | None, int | None]]:
    """Return the gaps on record: partition, start, end."""
    text = (tenant.flow.recovery / "gaps.ndjson").read_text()
    gaps = [json.loads(line) for line in text.splitlines()]
    return [(gap["partition"], gap["start"], gap["end"]) for gap in gaps]
