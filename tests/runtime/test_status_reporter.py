"""What a process says of itself, as a record for the stores."""

import itertools
import sys
import threading

from mobility.status import FlowStatus, PartitionStatus, decode_status
from runtime.flow_metrics import FlowMetrics, MessageCounts, PartitionMetrics
from runtime.status_reporter import StatusReporter
from tests.strategies import NOON
from tests.waiting import until


def said_by(account: StatusReporter) -> FlowStatus:
    """Return the record of a flow's process."""
    status = decode_status(account.status_record())
    assert isinstance(status, FlowStatus)
    return status


def metrics() -> FlowMetrics:
    """Return the metrics of two partitions."""
    ours = FlowMetrics(punctuations_refused=1, partitions_unread=2, gaps=3)
    ours.partitions[1] = PartitionMetrics(
        NOON - 2, "behind", 4, MessageCounts(10, 5, 1, 2, 1, 1), 96
    )
    ours.partitions[0] = PartitionMetrics(NOON - 1, "caught_up", 0, MessageCounts(1, 1), 7)
    return ours


def test_a_record_says_where_each_partition_stands() -> None:
    """Positions, ends and lags of the topic's partitions, and the sums over them."""
    account = StatusReporter("main", 2, {"trips_stream": metrics()}, clock=lambda: 12.5)
    said = said_by(account)
    assert account.name == "flow-2"
    assert (said.flow, said.at, said.watermark, said.lag) == ("main", 12_500, NOON - 2, 4)
    assert said.partitions == (
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
    counts = said.counts
    assert (counts.read, counts.counted, counts.late, counts.dead) == (11, 6, 1, 2)
    assert (said.punctuations_refused, said.partitions_unread, said.gaps) == (1, 2, 3)
    assert said.snapshot_at is None


def test_rates_are_of_the_last_ten_seconds() -> None:
    """Trips and windows a second, between the first and the last record of that time."""
    now, ours = [100.0], metrics()
    account = StatusReporter("main", 0, {"trips_stream": ours}, clock=lambda: now[0])
    assert said_by(account).rates.trips_per_s == 0
    for _ in range(20):
        now[0] += 1
        ours.partitions[0].counts += MessageCounts(read=30, counted=30)
        account.record_written(7)
        rates = said_by(account).rates
        assert (rates.trips_per_s, rates.windows_per_s) == (30, 7)
    now[0] += 5
    assert said_by(account).rates.trips_per_s == 15
    now[0] += 60
    assert said_by(account).rates.trips_per_s == 0


def test_a_snapshot_is_dated() -> None:
    """The end of the last epoch, by the wall clock."""
    account = StatusReporter("serving", 0, {}, clock=lambda: 42.0)
    account.record_snapshot()
    assert (account.name, said_by(account).snapshot_at) == ("serving-0", 42_000)


def test_partitions_may_change_while_a_record_is_made() -> None:
    """Each record has whole partitions, in order; the flow's thread adds and removes them."""
    ours = FlowMetrics()
    account = StatusReporter("main", 0, {"trips_stream": ours})
    stop = threading.Event()

    def change() -> None:
        for number in itertools.count():
            if stop.is_set():
                return
            ours.partitions[number % 500] = PartitionMetrics(NOON, position=number % 500)
            ours.partitions.pop((number + 250) % 500, None)

    seen: set[tuple[int, ...]] = set()

    def records_that_differ() -> int:
        for _ in range(50):
            partitions = said_by(account).partitions
            numbers = tuple(each.partition for each in partitions)
            assert list(numbers) == sorted(set(numbers))
            assert all(each.position == each.end == each.partition for each in partitions)
            seen.add(numbers)
        return len(seen)

    thread = threading.Thread(target=change)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # so that it changes them in the middle of a record
    thread.start()
    try:
        until(records_that_differ, "200 different records", lambda count: count >= 200)
    finally:
        stop.set()
        thread.join()
        sys.setswitchinterval(interval)
