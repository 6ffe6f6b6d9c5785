"""Decodes messages of the log to trips, by columns and by the functions of the flow."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import polars as pl

from backfill.log_batch import LogBatch
from backfill.log_rules import LogRules, read_log_rules
from broker.value_format import value_format
from mobility.enrichment import Tables
from mobility.event_time import apply_time_rules
from mobility.settings import Settings
from mobility.trips import TRIP_SCHEMA, decode_trips
from mobility.values import ValueFormat

TRIP_COLUMNS: Final = tuple(name for name in TRIP_SCHEMA if name != "row")
"""The columns of trips; which message of a batch they were does not matter here."""


@dataclass(frozen=True, slots=True)
class DecodedTrips:
    """The valid trips among messages that are judged alike, late ones too.

    `trips`: POSITION_SCHEMA, `window_start` and TRIP_COLUMNS. `punctuations`:
    `partition` and `event_time`. `tables` are those that are in force for them.
    """

    trips: pl.DataFrame
    punctuations: pl.DataFrame
    tables: Tables


class LogDecoder:
    """Decodes messages, each by the rules that are in force for its offset."""

    def __init__(self, settings: Settings, rules: LogRules, form: ValueFormat) -> None:
        self.rules = rules
        self._settings = settings
        self._form = form

    def decode(self, batch: LogBatch) -> Iterator[DecodedTrips]:
        """Yield the trips of a batch, in its order as far as they are judged alike."""
        tolerance = self._settings.future_tolerance * 1_000
        for rules, rows in self.rules.split(batch.positions):
            part = batch.at(rows)
            timed = apply_time_rules(
                decode_trips(part.values, rules.trip_rules, self._form),
                headers=part.headers,
                timestamps=part.timestamps,
                tolerance=tolerance,
            )
            placed = timed.trips.select(
                *part.positions[timed.trips["row"]],
                window_start_of(self._settings),
                *TRIP_COLUMNS,
            )
            partitions = part.positions["partition"].gather(timed.punctuations["row"])
            punctuations = timed.punctuations.select(partitions, "event_time")
            yield DecodedTrips(placed, punctuations, rules.tables)


def open_decoder(settings: Settings) -> LogDecoder:
    """Return a decoder of the log. Raises BackfillError or BrokerError."""
    return LogDecoder(settings, read_log_rules(settings), value_format(settings))


def window_start_of(settings: Settings) -> pl.Expr:
    """Return the start of the window of each trip."""
    window = settings.window_ms
    return (pl.col("event_time") // window * window).alias("window_start")
