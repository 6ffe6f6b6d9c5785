"""What a watch has found, as metrics for Prometheus."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, start_http_server

from audit.checks import Check
from audit.tally import Tally

_HOST: Final = "127.0.0.1"


class Metrics:
    """The metrics of one watch, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._drift = Gauge(
            "mobility_audit_drift_windows",
            "Windows that differed since the audit's start; of totals, the most at once.",
            ["place"],
            registry=self.registry,
        )
        self._checked = Counter(
            "mobility_audit_windows_checked",
            "Windows that were counted again and compared.",
            ["place"],
            registry=self.registry,
        )
        self._amended = Counter(
            "mobility_audit_windows_amended",
            "Windows that were not compared, as a backfill has counted them again.",
            ["place"],
            registry=self.registry,
        )
        self._failures = Counter(
            "mobility_audit_failures",
            "Rounds that came to no result.",
            registry=self.registry,
        )
        self._success = Gauge(
            "mobility_audit_last_success_timestamp_seconds",
            "When a round last compared something and found no difference.",
            registry=self.registry,
        )
        self._behind = Gauge(
            "mobility_audit_open_window_starts",
            "Window starts that are followed and not compared yet.",
            registry=self.registry,
        )

    def serve(self, port: int) -> None:
        """Answer scrapes at a port of this machine."""
        start_http_server(port, addr=_HOST, registry=self.registry)

    def note(self, checks: list[Check], tally: Tally) -> None:
        """Take in a round."""
        for check in checks:
            found = check.comparison
            self._drift.labels(found.place).set(tally.drifts[found.place])
            self._checked.labels(found.place).inc(found.expected)
            self._amended.labels(found.place).inc(check.amended)
        self._behind.set(tally.behind)
        if tally.last_success is not None:
            self._success.set(tally.last_success / 1_000)

    def note_failure(self) -> None:
        """Take in a round without a result."""
        self._failures.inc()
