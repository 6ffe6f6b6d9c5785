"""The metrics of a process, served for Prometheus."""

from collections.abc import Iterable
from typing import Final

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from mobility.settings import Settings
from runtime.failures import RefusalError
from runtime.flow_metrics import FlowMetrics

_OF_MESSAGES: Final = {
    "read": ("mobility_messages_read", "Messages read from the log in this run"),
    "counted": ("mobility_trips_counted", "Trips counted in this run"),
    "late": ("mobility_trips_late", "Late trips sent to trips_late in this run"),
    "dead": ("mobility_messages_dead", "Dead letters sent to trips_dlq in this run"),
    "duplicates": ("mobility_trips_repeated", "Duplicates, which are not counted, in this run"),
    "punctuations": ("mobility_punctuations_read", "Punctuations read in this run"),
}
"""Counters by the field of MessageCounts; the next tables are by the field of FlowMetrics."""

_COUNTERS: Final = {
    "windows_sent": ("mobility_windows_written", "Windows sent to Kafka in this run"),
    "punctuations_refused": (
        "mobility_punctuations_refused",
        "Punctuations that the broker did not allow: window state is not cleaned up",
    ),
}

_GAUGES: Final = {
    "partitions_unread": (
        "mobility_partitions_unread",
        "Partitions of the log that were added and are read after a restart",
    ),
    "gaps": (
        "mobility_gaps",
        "Gaps in the log that were accepted, over the life of the recovery folder",
    ),
}


def serve_metrics(metrics: FlowMetrics, settings: Settings) -> None:
    """Serve the metrics of this process: on the settings' port, plus the process's number.

    Raises RefusalError where another process has that port, or there is none of that number.
    """
    if not settings.metrics_port:
        return
    registry = CollectorRegistry()
    registry.register(FlowMetricsCollector(metrics))
    host, port = settings.metrics_host, settings.metrics_port + metrics.process
    try:
        start_http_server(port, host, registry)
    except (OSError, OverflowError) as error:
        msg = (
            f"The metrics can't be served on {host}:{port}: {error}.\nChoose another "
            "MOBILITY_METRICS_PORT (each process takes one, counting up), or 0 for none."
        )
        raise RefusalError(msg) from error


class FlowMetricsCollector(Collector):
    """Reads the metrics at each scrape, so that they cost the flow nothing in between."""

    def __init__(self, metrics: FlowMetrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        """Yield the present metrics."""
        metrics = self._metrics
        total = metrics.counts
        for field, (name, text) in _OF_MESSAGES.items():
            yield CounterMetricFamily(name, text, value=getattr(total, field))
        for field, (name, text) in _COUNTERS.items():
            yield CounterMetricFamily(name, text, value=getattr(metrics, field))
        for field, (name, text) in _GAUGES.items():
            yield GaugeMetricFamily(name, text, value=getattr(metrics, field))
        lags = GaugeMetricFamily(
            "mobility_partition_lag_messages",
            "Offsets between the next message and the end of the partition",
            labels=["partition"],
        )
        watermarks = GaugeMetricFamily(
            "mobility_partition_watermark_timestamp_seconds",
            "Watermark of the partition; absent before its first trip",
            labels=["partition"],
        )
        for number, partition in sorted(metrics.partitions.items()):
            lags.add_metric([str(number)], partition.lag)
            if partition.watermark is not None:
                watermarks.add_metric([str(number)], partition.watermark / 1_000)
        yield lags
        yield watermarks
