"""Stores as sinks of a flow: which errors are raised, and which counts the status has."""

import signal
from collections.abc import Callable
from dataclasses import replace
from typing import cast

import polars as pl
import psycopg
import pytest

from dataflows.stores import sink_context
from mobility.entities import BY_NAME
from mobility.records import WINDOW_SCHEMA, WindowUpdate
from mobility.settings import Settings
from mobility.status import FlowStatus, decode_status
from runtime.failures import EXIT_REFUSED, RefusalError
from runtime.status_reporter import StatusReporter
from sinks import SinkContext, StoreError, StoreRefusedError, StoreSink, store_sink
from sinks.batch_writer import BatchWriter
from sinks.store_sink import StorePartition
from tests.dataflows.conftest import PARTITIONS, Hub, trips_log
from tests.sinks.memory_store import MemoryStore
from tests.strategies import NOON, Entry
from tests.waiting import DEADLINE, until

DRIVER = BY_NAME["driver"]


class Refusing:
    """A batch writer whose stores belong to a later cluster."""

    def put(self, values: list[WindowUpdate]) -> None:
        """Raise StoreRefusedError."""
        del values
        msg = "taken over"
        raise StoreRefusedError(msg)

    def flush(self) -> None:
        """Raise StoreError."""
        msg = "away"
        raise StoreError(msg)

    close = flush


def status_of(reporter: StatusReporter) -> FlowStatus:
    """Return the status that is published now."""
    status = decode_status(reporter.status_record())
    assert isinstance(status, FlowStatus)
    return status


def partition(context: SinkContext) -> StorePartition:
    """Return a partition whose calls all fail."""
    writer = Refusing()
    return StorePartition(cast("BatchWriter", writer), writer.close, context)


def write(context: SinkContext) -> None:
    """Write to a store."""
    partition(context).write_batch([])


def snapshot(context: SinkContext) -> None:
    """Take a snapshot of a store."""
    partition(context).snapshot()


def build(context: SinkContext) -> None:
    """Connect to a store."""
    StoreSink(Settings(), DRIVER, "main", context).build_part("step", "0", None)


@pytest.fixture
def reporter() -> StatusReporter:
    """Return the reporter of a process without partitions."""
    return StatusReporter("main", 0, {})


@pytest.fixture
def context(reporter: StatusReporter) -> SinkContext:
    """Return what the partitions of a process share."""
    return sink_context(reporter, lambda: False)


@pytest.mark.parametrize(
    ("fail", "error"), [(write, RefusalError), (snapshot, StoreError), (build, RefusalError)]
)
def test_after_a_failure_closing_raises_nothing(
    context: SinkContext,
    fail: Callable[[SinkContext], None],
    error: type[Exception],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Bytewax then closes every partition of the process, also those that have not failed."""
    monkeypatch.setattr(store_sink, "connect_authority", lambda *_, **__: Refusing().put([]))
    with pytest.raises(error):
        fail(context)
    partition(context).close()


def test_a_first_failure_in_close_is_raised(context: SinkContext) -> None:
    """No window that was queued is lost without an error."""
    with pytest.raises(StoreError, match="away"):
        partition(context).close()
    partition(context).close()


def test_the_status_counts_queued_windows(context: SinkContext, reporter: StatusReporter) -> None:
    """A window counts when it is queued, a snapshot when all of them are committed."""
    writer = BatchWriter(MemoryStore(), DRIVER)
    part = StorePartition(writer, writer.close, context)
    before = status_of(reporter)
    row = dict.fromkeys(WINDOW_SCHEMA, 0) | {"id": "d1", "pane": "early"}
    part.write_batch([WindowUpdate(DRIVER, 0, 1, None, pl.DataFrame([row], WINDOW_SCHEMA))])
    assert status_of(reporter).counts.windows_out == 1
    part.snapshot()
    after = status_of(reporter)
    part.close()
    assert before.counts.windows_out == 0
    assert before.snapshot_at is None
    assert after.snapshot_at is not None


def test_the_status_says_what_a_store_can_not_hold(
    context: SinkContext, reporter: StatusReporter
) -> None:
    """By entity, until it fits."""
    for entity in (DRIVER, BY_NAME["h3"]):
        context.on_amount_too_large(entity, f"too large for {entity.name}")
    context.on_amount_too_large(DRIVER, None)
    context.on_amount_too_large(DRIVER, None)
    assert status_of(reporter).refusals == {"h3": "too large for h3"}


@pytest.mark.services
@pytest.mark.parametrize("flow", ["main", "serving"])
def test_every_process_publishes_its_status(hub: Hub, flow: str) -> None:
    """Its last record has the final counts."""
    hub.make_topics()
    hub.write(trips_log(1))
    if flow == "serving":
        assert hub.run().returncode == 0
    of_flow = replace(hub, recovery=hub.recovery.with_name(flow))
    run = of_flow.run("--flow", flow, "--processes", "2", stores=("redis", "postgres"))
    assert run.returncode == 0, run.stderr[-3_000:]
    with psycopg.connect(hub.settings.postgres) as connection:
        rows = connection.execute("SELECT process, record::text FROM status ORDER BY 1").fetchall()
    name = "flow" if flow == "main" else flow
    assert [process for process, _ in rows] == [f"{name}-0", f"{name}-1"]
    for _, record in rows:
        status = decode_status(str(record))
        assert isinstance(status, FlowStatus)
        assert status.snapshot_at is not None
        assert status.counts.windows_out > 0


@pytest.mark.services
def test_a_window_that_postgres_can_not_hold_is_waited_for(hub: Hub) -> None:
    """The flow says so in its log and status and does not end; the topic has the window exactly."""
    hub.make_topics()
    trips = [Entry(NOON, vehicle="car", driver=f"d{n}", micro=10**15) for n in range(9_300)]
    hub.write([trips, *([Entry(NOON, punctuation=True)] for _ in range(PARTITIONS - 1))])
    flow = hub.start(stores=("postgres",), batch_size=5_000)

    def refusals() -> dict[str, str]:
        with psycopg.connect(hub.settings.postgres) as connection:
            if not connection.execute("SELECT to_regclass('status')::text").fetchall()[0][0]:
                return {}
            rows = connection.execute("SELECT record::text FROM status").fetchall()
        statuses = (decode_status(str(record)) for (record,) in rows)
        return {
            entity: reason
            for status in statuses
            if isinstance(status, FlowStatus)
            for entity, reason in status.refusals.items()
        }

    until(lambda: refusals().keys() == {"vehicle_type"}, "the refusal in the status")
    assert "can't hold total_duration of vehicle_type 'car'" in refusals()["vehicle_type"]
    vehicles = until(lambda: hub.windows(BY_NAME["vehicle_type"]), "windows", lambda w: w.height)
    assert vehicles["total_revenue"].to_list() == [9_300 * 10**15]
    assert flow.poll() is None
    flow.send_signal(signal.SIGTERM)
    _, err = flow.communicate(timeout=DEADLINE)
    assert "can't hold total_duration of vehicle_type 'car'" in err
    assert "The flow waits until it fits" in err
    assert "Traceback" not in err
    assert flow.returncode == EXIT_REFUSED
