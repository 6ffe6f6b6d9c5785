"""Prometheus metrics of a running audit."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, start_http_server

from audit.counters import AuditCounters
from audit.rounds import CheckResult

_HOST: Final = "127.0.0.1"


class AuditMetrics:
    """The metrics of one audit, in their own registry; the label `place` is a store or topic."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._drift = Gauge(
            "mobility_audit_drift_windows",
            "Windows that differed since the audit started; of totals the most at once.",
            ["place"],
            registry=self.registry,
        )
        self._checked = Counter(
            "mobility_audit_windows_checked",
            "Windows that were recomputed from the log and compared.",
            ["place"],
            registry=self.registry,
        )
        self._backfilled = Counter(
            "mobility_audit_windows_amended",
            "Windows of backfills that were left out: nothing says what they should be.",
            ["place"],
            registry=self.registry,
        )
        self._failures = Counter(
            "mobility_audit_failures",
            "Rounds that failed without a result.",
            registry=self.registry,
        )
        self._last_success = Gauge(
            "mobility_audit_last_success_timestamp_seconds",
            "When a round last compared windows and found no difference.",
            registry=self.registry,
        )
        self._behind = Gauge(
            "mobility_audit_open_window_starts",
            "Window starts that are read from the log and not compared yet.",
            registry=self.registry,
        )

    def serve(self, port: int) -> None:
        """Serve the metrics on a port of this machine."""
        start_http_server(port, addr=_HOST, registry=self.registry)

    def add_round(self, results: list[CheckResult], counters: AuditCounters) -> None:
        """Add the results of a round."""
        for result in results:
            comparison = result.comparison
            self._drift.labels(comparison.output).set(counters.drifts[comparison.output])
            self._checked.labels(comparison.output).inc(comparison.expected)
            self._backfilled.labels(comparison.output).inc(result.backfilled)
        self._behind.set(counters.behind)
        if counters.last_success is not None:
            self._last_success.set(counters.last_success / 1_000)

    def add_failure(self) -> None:
        """Count a round that failed."""
        self._failures.inc()
