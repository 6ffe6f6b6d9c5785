"""The metrics of a process, served for Prometheus."""

import threading
import urllib.request

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from mobility.settings import Settings
from mobility.status import MessageCounts
from runtime.failures import RefusalError
from runtime.flow_metrics import FlowMetrics, PartitionMetrics
from runtime.metrics_endpoint import FlowMetricsCollector, serve_metrics
from stack.ports import find_free_port
from tests.strategies import NOON
from tests.waiting import DEADLINE


def test_the_metrics_have_these_names_and_values() -> None:
    """Names, units and labels are an interface that dashboards use."""
    metrics = FlowMetrics(windows_sent=7, partitions_unread=2, gaps=1, punctuations_refused=3)
    metrics.partitions[0] = PartitionMetrics(
        NOON - 500, "behind", 4, MessageCounts(10, 5, 1, 2, 1, 1)
    )
    metrics.partitions[1] = PartitionMetrics(None, "idle", 0, MessageCounts(1, 1))
    registry = CollectorRegistry()
    registry.register(FlowMetricsCollector(metrics))
    found = {
        (sample.name, sample.labels.get("partition")): sample.value
        for family in registry.collect()
        for sample in family.samples
    }
    assert found == {
        ("mobility_messages_read_total", None): 11,
        ("mobility_trips_counted_total", None): 6,
        ("mobility_trips_late_total", None): 1,
        ("mobility_messages_dead_total", None): 2,
        ("mobility_trips_repeated_total", None): 1,
        ("mobility_punctuations_read_total", None): 1,
        ("mobility_windows_written_total", None): 7,
        ("mobility_punctuations_refused_total", None): 3,
        ("mobility_partitions_unread", None): 2,
        ("mobility_gaps", None): 1,
        ("mobility_partition_lag_messages", "0"): 4,
        ("mobility_partition_lag_messages", "1"): 0,
        ("mobility_partition_watermark_timestamp_seconds", "0"): NOON / 1_000 - 0.5,
    }


def test_each_process_serves_its_own_metrics_on_localhost() -> None:
    """Process 1 has the next port; a port in use is named in the message."""
    port = find_free_port()
    serve_metrics(FlowMetrics(process=1, windows_sent=5), Settings(metrics_port=port - 1))
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=DEADLINE) as reply:
        families = {f.name: f for f in text_string_to_metric_families(reply.read().decode())}
    assert families["mobility_windows_written"].samples[0].value == 5
    with pytest.raises(RefusalError, match=rf"127.0.0.1:{port}.*in use"):
        serve_metrics(FlowMetrics(), Settings(metrics_port=port))
    with pytest.raises(RefusalError, match=r"127.0.0.1:65536.*\nChoose another"):
        serve_metrics(FlowMetrics(process=1), Settings(metrics_port=65_535))


def test_without_a_port_nothing_listens() -> None:
    """By default no metrics are served."""
    before = threading.active_count()
    serve_metrics(FlowMetrics(), Settings())
    assert threading.active_count() == before
