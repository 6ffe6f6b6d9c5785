"""`/prometheus`: metrics of this process, the stores, the flow and live events, for scraping."""

from collections.abc import Iterator
from typing import Final

from litestar import Response, get
from litestar.di import NamedDependency
from prometheus_client import REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from api.errors import StoresUnavailableError, StoreUnavailableError
from api.live.hub import LiveHub
from api.queries.sequence_number_poller import FollowerLags
from api.queries.store_readers import StoreReaders, Watermarks
from api.status.overview import known_watermarks, to_processes
from api.status.responses import FlowProcess

_HEADERS: Final = {"Content-Type": CONTENT_TYPE_LATEST}


@get("/prometheus", media_type="text/plain", include_in_schema=False)
async def prometheus(
    readers: NamedDependency[StoreReaders], hub: NamedDependency[LiveHub | None]
) -> Response[bytes]:
    """Return the metrics in the format of Prometheus; each scrape queries the stores."""
    watermarks = await readers.watermarks()
    try:
        processes = to_processes((await readers.statuses()).value)
    except StoresUnavailableError:
        processes = []
    registry = CollectorRegistry()
    registry.register(
        _OneScrape(
            [
                *_store_metrics(watermarks),
                *_follower_metrics(await readers.follower_lags()),
                *_flow_metrics(processes),
                *_live_metrics(hub),
            ],
        )
    )
    return Response(generate_latest(REGISTRY) + generate_latest(registry), headers=_HEADERS)


class _OneScrape(Collector):
    """The metrics of one scrape."""

    def __init__(self, metrics: list[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> list[Metric]:
        return self._metrics


def _store_metrics(watermarks: Watermarks) -> Iterator[Metric]:
    up = GaugeMetricFamily(
        "mobility_store_up", "Whether a configured store answers", labels=["store"]
    )
    for store, found in watermarks.items():
        up.add_metric([store], not isinstance(found, StoreUnavailableError))
    yield up
    times = GaugeMetricFamily(
        "mobility_watermark_timestamp_seconds",
        "Watermark of an entity; absent until all shards have reported one",
        labels=["entity"],
    )
    for entity, watermark in (known_watermarks(watermarks) or {}).items():
        if watermark is not None:
            times.add_metric([entity], watermark.timestamp())
    yield times


def _follower_metrics(lags: FollowerLags) -> Iterator[Metric]:
    follows = GaugeMetricFamily(
        "mobility_follower_follows",
        "Whether Redis follows this Postgres; absent where that is not known",
        labels=["entity"],
    )
    behind = GaugeMetricFamily(
        "mobility_follower_lag_transactions",
        "Transactions of Postgres that Redis lacks for over five seconds",
        labels=["entity"],
    )
    for entity, lag in lags.items():
        follows.add_metric([entity], lag is not None)
        if lag is not None:
            behind.add_metric([entity], lag)
    yield follows
    yield behind


def _flow_metrics(processes: list[FlowProcess]) -> Iterator[Metric]:
    lags = GaugeMetricFamily(
        "mobility_log_lag_messages",
        "Unread messages of a partition, by the last status of its process",
        labels=["process", "topic", "partition"],
    )
    ages = GaugeMetricFamily(
        "mobility_status_age_seconds", "Age of the last status of a process", labels=["process"]
    )
    for process in processes:
        ages.add_metric([process.process], process.age)
        for found in process.partitions:
            lags.add_metric([process.process, found.topic, str(found.partition)], found.lag)
    yield lags
    yield ages


def _live_metrics(hub: LiveHub | None) -> Iterator[Metric]:
    subscribers = GaugeMetricFamily(
        "mobility_live_readers", "Connected readers of live events", labels=["entity"]
    )
    dropped = CounterMetricFamily(
        "mobility_live_readers_dropped",
        "Readers of live events that were disconnected because they were too slow",
        labels=["entity"],
    )
    for entity, channel in ({} if hub is None else hub.channels).items():
        subscribers.add_metric([entity], channel.subscribers)
        dropped.add_metric([entity], channel.dropped)
    yield subscribers
    yield dropped
