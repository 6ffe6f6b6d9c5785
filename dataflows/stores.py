"""The stores that a flow feeds.

A store that refuses this cluster will refuse it again: that ends the flow, and is no failure that
a restart would fix.
"""

from collections.abc import Callable

from runtime.fencing import refusals_end_the_flow
from runtime.status_reporter import StatusReporter
from sinks import SinkContext, StoreError, is_fenced, store_sinks

__all__ = ["StoreError", "is_fenced", "sink_context", "store_sinks"]


def sink_context(reporter: StatusReporter, stop_requested: Callable[[], bool]) -> SinkContext:
    """Return what all store sinks of this process share.

    What they queue, what a store can't hold, and which store is waited for, is reported.
    """
    context = SinkContext(
        stop_requested=stop_requested,
        on_queued=reporter.record_queued,
        on_snapshot=reporter.record_snapshot,
        on_amount_too_large=reporter.record_amount_too_large,
        translate_errors=refusals_end_the_flow,
    )
    reporter.watch_stores(context.waits)
    return context
