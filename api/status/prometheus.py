"""`/prometheus`: what this process does, and how the flow and the stores are, for scraping.

Requests are counted by the template of the route: by path each id would be a series of its own.
Litestar's own middleware would do so too, in a fifth of the time that all of a request takes: it
reads the URL anew and looks its metrics up by name and labels eight times.
"""

import time
from collections.abc import Iterator
from functools import cache
from http import HTTPStatus
from typing import Final

from litestar import Response, get
from litestar.di import NamedDependency
from litestar.enums import ScopeType
from litestar.exceptions import HTTPException
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Message, Receive, Scope, Send
from prometheus_client import (
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from api.live.hub import Hub
from api.queries.contract import StoreDown
from api.queries.store_readers import Readers, StoresDown
from api.status.overview import Freshness, flows, known
from api.status.responses import Process

UNCOUNTED: Final = "uncounted"
"""The key of a route's `opt` whose requests are not counted: streams last as long as readers."""


_LABELS: Final = ("method", "path", "status_code")
_REQUESTS: Final = Counter("mobility_api_requests", "Requests that were answered", _LABELS)
_SECONDS: Final = Histogram(
    "mobility_api_request_duration_seconds", "From a request to the end of its answer", _LABELS
)
_IN_PROGRESS: Final = Gauge("mobility_api_requests_in_progress", "Requests not answered yet")


class Counted(ASGIMiddleware):
    """Counts and times requests by method, template of the route, and status."""

    scopes = (ScopeType.HTTP,)
    exclude_opt_key = UNCOUNTED

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Go on, and count what came of it; a refusal of a middleware by the status it will get."""
        assert scope["type"] == ScopeType.HTTP  # noqa: S101 - for the types
        status: int = HTTPStatus.INTERNAL_SERVER_ERROR

        async def note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        _IN_PROGRESS.inc()
        began = time.perf_counter()
        try:
            await next_app(scope, receive, note)
        except HTTPException as refusal:
            status = refusal.status_code
            raise
        finally:
            _IN_PROGRESS.dec()
            requests, seconds = _series(scope["method"], scope["path_template"], int(status))
            seconds.observe(time.perf_counter() - began)
            requests.inc()


@cache
def _series(method: str, template: str, status: int) -> tuple[Counter, Histogram]:
    """Return the series of these labels: as many as there are routes and what they answer."""
    labels = (method, template, str(status))
    return _REQUESTS.labels(*labels), _SECONDS.labels(*labels)


@get("/prometheus", media_type="text/plain", include_in_schema=False)
async def prometheus(
    readers: NamedDependency[Readers], hub: NamedDependency[Hub | None]
) -> Response[bytes]:
    """Return the metrics as Prometheus reads them; the stores are asked for them now."""
    freshness = await readers.freshness()
    try:
        processes = flows((await readers.statuses()).value)
    except StoresDown:
        processes = []
    registry = CollectorRegistry()
    registry.register(_Now([*_of_stores(freshness), *_of_flows(processes), *_of_readers(hub)]))
    body = generate_latest(REGISTRY) + generate_latest(registry)
    return Response(body, headers={"Content-Type": CONTENT_TYPE_LATEST})


class _Now(Collector):
    """What was found out for one scrape."""

    def __init__(self, metrics: list[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> list[Metric]:
        return self._metrics


def _of_stores(freshness: Freshness) -> Iterator[Metric]:
    up = GaugeMetricFamily(
        "mobility_store_up", "Whether a configured store answers", labels=["store"]
    )
    for store, found in freshness.items():
        up.add_metric([store], not isinstance(found, StoreDown))
    yield up
    marks = GaugeMetricFamily(
        "mobility_watermark_timestamp_seconds",
        "What the numbers of an entity are complete up to; absent before all shards spoke",
        labels=["entity"],
    )
    for entity, watermark in (known(freshness) or {}).items():
        if watermark is not None:
            marks.add_metric([entity], watermark.timestamp())
    yield marks


def _of_flows(processes: list[Process]) -> Iterator[Metric]:
    lags = GaugeMetricFamily(
        "mobility_log_lag_messages",
        "Messages that are not read yet, as a process last said",
        labels=["process", "topic", "partition"],
    )
    ages = GaugeMetricFamily(
        "mobility_status_age_seconds", "Since a process last spoke", labels=["process"]
    )
    for process in processes:
        ages.add_metric([process.process], process.age)
        for found in process.partitions:
            lags.add_metric([process.process, found.topic, str(found.partition)], found.lag)
    yield lags
    yield ages


def _of_readers(hub: Hub | None) -> Iterator[Metric]:
    reading = GaugeMetricFamily(
        "mobility_live_readers", "Readers of live events", labels=["entity"]
    )
    dropped = CounterMetricFamily(
        "mobility_live_readers_dropped",
        "Readers that took events too slowly and were let go",
        labels=["entity"],
    )
    for entity, channel in ({} if hub is None else hub.channels).items():
        reading.add_metric([entity], channel.readers)
        dropped.add_metric([entity], channel.dropped)
    yield reading
    yield dropped
