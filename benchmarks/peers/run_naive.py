"""Bytewax as in its documentation: one object per trip, `fold_window`, one flow."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import bytewax.operators as op
import bytewax.operators.windowing as win
from bytewax.connectors.kafka import KafkaSinkMessage
from bytewax.connectors.kafka import operators as kop
from bytewax.dataflow import Dataflow
from bytewax.operators.windowing import EventClock, TumblingWindower
from bytewax.run import cli_main
from peer_options import ENTITIES, parse_options
from peer_totals import Totals, Trip, no_trips, with_trip

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LENGTH = timedelta(minutes=5)
# Its four partitions are not read in step: with the 30 s of a live stream, a tenth of the trips are
# late in a catch-up, and dropped.
WAIT = timedelta(minutes=5)


def trip_of(message: Any) -> Trip:  # noqa: ANN401 - of the connector
    """Decode a message."""
    trip: Trip = json.loads(message.value)
    trip["at"] = datetime.fromisoformat(trip["start_time"])
    return trip


def id_in(field: str) -> Callable[[Trip], str]:
    """Return the function that returns a trip's id."""
    return lambda trip: str(trip[field])


def of_both(one: Totals, other: Totals) -> Totals:
    """Add totals to totals."""
    return {name: one[name] + other[name] for name in one}


def message_of(item: tuple[str, tuple[int, Totals]]) -> KafkaSinkMessage[bytes, bytes]:
    """Encode a window."""
    key, (number, totals) = item
    start = EPOCH + number * LENGTH
    window = {"entity_id": key, "window_start": start.isoformat(), **totals}
    return KafkaSinkMessage(key.encode(), json.dumps(window).encode())


def build(brokers: str, source: str, prefix: str) -> Dataflow:
    """Return the flow."""
    flow = Dataflow("naive")
    messages = kop.input("trips", flow, brokers=[brokers], topics=[source], tail=False)
    trips = op.map("decode", messages.oks, trip_of)
    clock: EventClock[Trip] = EventClock(lambda trip: trip["at"], wait_for_system_duration=WAIT)
    windower = TumblingWindower(length=LENGTH, align_to=EPOCH)
    for name, field in ENTITIES.items():
        keyed = op.key_on(f"{name}_key", trips, id_in(field))
        windows = win.fold_window(
            f"{name}_windows", keyed, clock, windower, no_trips, with_trip, of_both, ordered=False
        )
        records = op.map(f"{name}_encode", windows.down, message_of)
        kop.output(f"{name}_out", records, brokers=[brokers], topic=prefix + name)
    return flow


if __name__ == "__main__":
    options = parse_options()
    cli_main(build(options.brokers, options.source, options.prefix))  # type: ignore[no-untyped-call]
