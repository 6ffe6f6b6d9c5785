"""The board as metrics, for Prometheus to read on this machine."""

from collections.abc import Iterable
from typing import Final

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from dataflows.board import Board
from dataflows.failures import RefusalError
from mobility.settings import Settings

_HOST: Final = "127.0.0.1"

_COUNTERS: Final = {
    "read": ("mobility_messages_read", "Messages read from the log in this run"),
    "counted": ("mobility_trips_counted", "Trips counted in this run"),
    "late": ("mobility_trips_late", "Late trips set aside in this run"),
    "dead": ("mobility_messages_dead", "Dead letters set aside in this run"),
    "duplicates": ("mobility_trips_repeated", "Repeated trips not counted again in this run"),
    "punctuations": ("mobility_punctuations_read", "Punctuations read in this run"),
}


def show_metrics(board: Board, settings: Settings) -> None:
    """Serve the metrics of this process: on the settings' port, plus the process's number.

    Raises RefusalError where something else has that port.
    """
    if not settings.metrics_port:
        return
    registry = CollectorRegistry()
    registry.register(BoardCollector(board))
    port = settings.metrics_port + board.process
    try:
        start_http_server(port, _HOST, registry)
    except OSError as error:
        msg = (
            f"No metrics on {_HOST}:{port}: {error.strerror}.\nChoose another "
            "MOBILITY_METRICS_PORT (each process takes one, counting up), or 0 for none."
        )
        raise RefusalError(msg) from error


class BoardCollector(Collector):
    """Reads the board when it is asked, so that the flow spends nothing on it."""

    def __init__(self, board: Board) -> None:
        self._board = board

    def collect(self) -> Iterable[Metric]:
        """Yield what the board says now."""
        board = self._board
        standings = sorted(board.standings.items())
        total = board.counts
        for field, (name, text) in _COUNTERS.items():
            yield CounterMetricFamily(name, text, value=getattr(total, field))
        yield CounterMetricFamily(
            "mobility_windows_written", "Windows sent to Kafka in this run", value=board.windows_out
        )
        yield CounterMetricFamily(
            "mobility_punctuations_refused",
            "Punctuations that the broker did not allow: window state stays",
            value=board.punctuations_refused,
        )
        yield GaugeMetricFamily(
            "mobility_partitions_unread",
            "Partitions of the log that were added and are read after a restart",
            value=board.partitions_unread,
        )
        yield GaugeMetricFamily(
            "mobility_gaps",
            "Gaps in the log that were accepted, over the life of the recovery folder",
            value=board.gaps,
        )
        lags = GaugeMetricFamily(
            "mobility_partition_lag_messages",
            "Offsets between the next message and the end of the partition",
            labels=["partition"],
        )
        marks = GaugeMetricFamily(
            "mobility_partition_watermark_timestamp_seconds",
            "Watermark of the partition; absent before its first trip",
            labels=["partition"],
        )
        for number, standing in standings:
            lags.add_metric([str(number)], standing.lag)
            if standing.watermark is not None:
                marks.add_metric([str(number)], standing.watermark / 1_000)
        yield lags
        yield marks
