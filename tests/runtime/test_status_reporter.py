"""The status record of a process."""

import itertools
import sys
import threading

from mobility.status import FlowStatus, MessageCounts, PartitionStatus, decode_status
from runtime.flow_metrics import FlowMetrics, PartitionMetrics
from runtime.status_reporter import StatusReporter
from tests.strategies import NOON
from tests.waiting import until


def record_of(reporter: StatusReporter) -> FlowStatus:
    """Return the record of a process of a flow."""
    status = decode_status(reporter.status_record())
    assert isinstance(status, FlowStatus)
    return status


def metrics() -> FlowMetrics:
    """Return the metrics of two partitions."""
    flow_metrics = FlowMetrics(punctuations_refused=1, partitions_unread=2, gaps=3)
    flow_metrics.partitions[1] = PartitionMetrics(
        NOON - 2, "behind", 4, MessageCounts(10, 5, 1, 2, 1, 1), 96
    )
    flow_metrics.partitions[0] = PartitionMetrics(NOON - 1, "caught_up", 0, MessageCounts(1, 1), 7)
    return flow_metrics


def test_a_record_has_the_position_of_each_partition() -> None:
    """Positions, ends and lags of the partitions, and their sums."""
    reporter = StatusReporter("main", 2, {"trips_stream": metrics()}, clock=lambda: 12.5)
    record = record_of(reporter)
    assert reporter.name == "flow-2"
    assert (record.flow, record.at, record.watermark, record.lag) == ("main", 12_500, NOON - 2, 4)
    assert record.partitions == (
        PartitionStatus(
            topic="trips_stream",
            partition=0,
            position=7,
            end=7,
            lag=0,
            watermark=NOON - 1,
            status="caught_up",
        ),
        PartitionStatus(
            topic="trips_stream",
            partition=1,
            position=96,
            end=100,
            lag=4,
            watermark=NOON - 2,
            status="behind",
        ),
    )
    counts = record.counts
    assert (counts.read, counts.counted, counts.late, counts.dead) == (11, 6, 1, 2)
    assert (record.punctuations_refused, record.partitions_unread, record.gaps) == (1, 2, 3)
    assert record.snapshot_at is None


def test_rates_are_of_the_last_ten_seconds() -> None:
    """Trips and windows per second, between the first and the last record of that time."""
    now, flow_metrics = [100.0], metrics()
    reporter = StatusReporter("main", 0, {"trips_stream": flow_metrics}, clock=lambda: now[0])
    assert record_of(reporter).rates.trips_per_s == 0
    for _ in range(20):
        now[0] += 1
        flow_metrics.partitions[0].counts += MessageCounts(read=30, counted=30)
        reporter.record_queued(7)
        rates = record_of(reporter).rates
        assert (rates.trips_per_s, rates.windows_per_s) == (30, 7)
    now[0] += 5
    assert record_of(reporter).rates.trips_per_s == 15
    now[0] += 60
    assert record_of(reporter).rates.trips_per_s == 0


def test_a_snapshot_has_a_time() -> None:
    """The end of the last epoch by the wall clock."""
    reporter = StatusReporter("serving", 0, {}, clock=lambda: 42.0)
    reporter.record_snapshot()
    assert (reporter.name, record_of(reporter).snapshot_at) == ("serving-0", 42_000)


def test_partitions_may_change_while_a_record_is_made() -> None:
    """Each record has complete partitions in order, while a thread adds and removes some."""
    flow_metrics = FlowMetrics()
    reporter = StatusReporter("main", 0, {"trips_stream": flow_metrics})
    stop = threading.Event()

    def change() -> None:
        for number in itertools.count():
            if stop.is_set():
                return
            flow_metrics.partitions[number % 500] = PartitionMetrics(NOON, position=number % 500)
            flow_metrics.partitions.pop((number + 250) % 500, None)

    seen: set[tuple[int, ...]] = set()

    def records_that_differ() -> int:
        for _ in range(50):
            partitions = record_of(reporter).partitions
            numbers = tuple(each.partition for each in partitions)
            assert list(numbers) == sorted(set(numbers))
            assert all(each.position == each.end == each.partition for each in partitions)
            seen.add(numbers)
        return len(seen)

    thread = threading.Thread(target=change)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # so that the thread runs in the middle of a record
    thread.start()
    try:
        until(records_that_differ, "200 different records", lambda count: count >= 200)
    finally:
        stop.set()
        thread.join()
        sys.setswitchinterval(interval)
