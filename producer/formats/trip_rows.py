"""The rows of a file as trips: fields, units and types of our own record, and what is left out."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl

from mobility.records import MAX_AMOUNT
from mobility.times import epoch_ms, iso_text
from producer.formats.currencies import CENTS, minor_units
from producer.formats.local_times import Instants, LocalTimes
from producer.formats.reading_plan import ReadingPlan, raw_column, raw_time
from producer.formats.tracks import track_lengths
from producer.formats.trip_format import (
    AMOUNTS,
    COORDINATES,
    FIELDS,
    KILOMETRES,
    LOCATIONS,
    MINUTES,
    REQUIRED,
    STRINGS,
    TIMES,
    Points,
    Source,
    Total,
    Track,
    columns_of,
)
from producer.formats.values import (
    as_location,
    as_numbers,
    as_text,
    as_times,
    has_value,
    plain_column,
)

_MS_PER_MINUTE: Final = 60_000
_TIME: Final = pl.Datetime("ms", "UTC")
_TEXTS: Final = {**dict.fromkeys(STRINGS, as_text), **dict.fromkeys(LOCATIONS, as_location)}


@dataclass(frozen=True, slots=True)
class TripRows:
    """Rows as trips.

    `trips`: the fields of a trip that the file has: text, times (Datetime in ms, UTC), numbers in
    minutes, kilometres and units of the currency; of our own record also its further columns.
    `starts`: the times of start in epoch ms. `reasons`: by row why it is left out, else null.
    `unread`: by field, how many trips have none as its value can't be read. `repeated` and
    `skipped`: how many times were in an hour that comes twice, and in one that clocks skip.
    """

    trips: pl.DataFrame
    starts: pl.Series
    reasons: pl.Series
    unread: Mapping[str, int]
    repeated: int
    skipped: int


class RowReader:
    """Reads the rows of one file, batch by batch in their order, by its plan."""

    def __init__(self, plan: ReadingPlan, *, refunds: bool) -> None:
        self._plan = plan
        self._refunds = refunds
        self._local_times = LocalTimes(plan.timezone)

    def read(self, rows: pl.DataFrame) -> TripRows:
        """Return a batch of the file's rows as trips."""
        instants = dict(self._times(rows))
        columns = {name: each.ms.cast(_TIME) for name, each in instants.items()}
        columns |= self._texts(rows) | self._numbers(rows)
        if "duration_min" not in columns and "end_time" in columns:
            elapsed = columns["end_time"] - columns["start_time"]
            columns["duration_min"] = elapsed.dt.total_milliseconds() / _MS_PER_MINUTE
        if (kind := self._plan.format.vehicle_type) is not None:
            columns["vehicle_type"] = pl.repeat(kind, rows.height, dtype=pl.String, eager=True)
        found = dict(columns)
        if self._plan.format.is_passed_on:
            columns |= self._times_as_text(rows, columns)
        else:
            columns |= _known_places(columns)
        ordered = [columns[name].alias(name) for name in FIELDS if name in columns]
        trips = pl.DataFrame([*ordered, *self._further_columns(rows)])
        reasons = self._reasons(rows, trips)
        return TripRows(
            trips,
            instants["start_time"].ms,
            reasons,
            dict(self._unread(rows, found, reasons)),
            sum(each.repeated for each in instants.values()),
            sum(each.skipped for each in instants.values()),
        )

    def _times(self, rows: pl.DataFrame) -> Iterator[tuple[str, Instants]]:
        starts = self._time(rows, "start_time", None)
        yield "start_time", starts
        if "end_time" in self._plan.sources:
            yield "end_time", self._time(rows, "end_time", starts.ms)

    def _time(self, rows: pl.DataFrame, name: str, starts: pl.Series | None) -> Instants:
        unit = self._plan.epoch_units.get(name)
        found = raw_time(rows, self._plan.sources[name])
        ms, is_local = as_times(found, unit, self._plan.format.time_format)
        if not is_local.any():
            return Instants(ms)
        local = ms.set(~is_local, None)
        times = self._local_times
        resolved = times.starts(local) if starts is None else times.ends(local, starts)
        return Instants(resolved.ms.zip_with(is_local, ms), resolved.repeated, resolved.skipped)

    def _times_as_text(
        self, rows: pl.DataFrame, read: Mapping[str, pl.Series]
    ) -> dict[str, pl.Series]:
        """Return the times of our own record that are text, as they are.

        So what is no time is a dead letter with its text. Only other forms than ISO 8601 are
        replaced by the times that were `read`.
        """
        if self._plan.timezone != "UTC":
            return {}
        found: dict[str, pl.Series] = {}
        for name in TIMES:
            if name not in self._plan.sources or name in self._plan.epoch_units:
                continue
            text = raw_time(rows, self._plan.sources[name])
            if text.dtype == pl.String:
                is_other = epoch_ms(text).is_null() & read[name].is_not_null()
                iso = pl.select(iso_text(pl.lit(read[name].dt.epoch("ms")))).to_series()
                found[name] = iso.zip_with(is_other, text) if is_other.any() else text
        return found

    def _texts(self, rows: pl.DataFrame) -> dict[str, pl.Series]:
        found: dict[str, pl.Series] = {}
        for name, convert in _TEXTS.items():
            if name in self._plan.sources:
                raw = _raw(rows, self._plan.sources[name])
                is_kept = self._plan.format.is_passed_on and _is_valid_type(name, raw.dtype)
                found[name] = raw if is_kept else convert(raw)
        return found

    def _numbers(self, rows: pl.DataFrame) -> dict[str, pl.Series]:
        plan = self._plan
        found = {
            # No coordinate has thousands: 52.516 is one also where amounts have a decimal comma.
            name: self._number(rows, plan.sources[name], grouped=name in AMOUNTS)
            for name in (*COORDINATES, *AMOUNTS)
            if name in plan.sources
        }
        factors = {
            "duration_min": MINUTES[plan.format.duration_unit],
            "distance_km": KILOMETRES[plan.format.distance_unit],
        }
        for name, factor in factors.items():
            if name in found and factor != 1:
                # Divided where that is exact: 90 s are 1.5 min, while 1 / 60 is a rounded factor.
                inverse = round(1 / factor)
                is_inverse = inverse > 1 and inverse * factor == 1
                found[name] = found[name] / inverse if is_inverse else found[name] * factor
        if "price" in found and plan.format.minor_currency_units:
            found["price"] = found["price"] / self._minor_units(rows)
        return found

    def _minor_units(self, rows: pl.DataFrame) -> pl.Series | int:
        """Return how many minor units the currency of each price has."""
        if self._plan.currency_code is None:
            return CENTS
        return minor_units(as_text(raw_column(rows, self._plan.currency_code)))

    def _number(self, rows: pl.DataFrame, source: Source, *, grouped: bool) -> pl.Series:
        comma = self._plan.decimal_comma
        match source:
            case Points(column, seconds):
                text = as_text(raw_column(rows, column))
                steps = text.str.count_matches(r"\]\s*,\s*\[").cast(pl.Float64) * seconds
                return steps.set(~text.str.contains("[0-9]").fill_null(value=False), None)
            case Track(column):
                # To millimetres: a sum of many lines carries noise after them.
                return track_lengths(as_text(raw_column(rows, column))).round(6)
            case Total(base, parts):
                total = as_numbers(raw_column(rows, base), decimal_comma=comma)
                for part in parts:
                    raw = raw_column(rows, part)
                    more = as_numbers(raw, decimal_comma=comma)
                    total = total + more.set(~has_value(raw), 0.0)
                # The digits of micro-units: sums of binary cents carry noise after them.
                return total.round(6)
            case _:
                return as_numbers(_raw(rows, source), decimal_comma=comma, grouped=grouped)

    def _further_columns(self, rows: pl.DataFrame) -> Iterator[pl.Series]:
        if not self._plan.format.is_passed_on:
            return
        used = {*self._plan.columns, *FIELDS}
        for name in rows.columns:
            if name not in used and (column := plain_column(rows[name])) is not None:
                yield column

    def _reasons(self, rows: pl.DataFrame, trips: pl.DataFrame) -> pl.Series:
        """Return by row why it is no trip: the first reason that applies."""
        nothing = pl.repeat(None, rows.height, dtype=pl.String, eager=True)
        if self._plan.format.is_passed_on:
            # Sent without such an amount, it would be another trip; the rest, the flow checks.
            checks = list(self._null_checks(rows, trips, AMOUNTS, needed=()))
        else:
            checks = list(self._checks(rows, trips))
        return pl.select(pl.coalesce(*checks, nothing).alias("reason")).to_series()

    def _checks(self, rows: pl.DataFrame, trips: pl.DataFrame) -> Iterator[pl.Expr]:
        if (mark := self._plan.incomplete) is not None:
            is_marked = as_text(raw_column(rows, mark)).str.to_lowercase() == "true"
            yield _where(is_marked, f"{mark.names[0].strip()} is true")
        yield from self._null_checks(rows, trips, ("start_time", *AMOUNTS), needed=REQUIRED)
        for name in AMOUNTS:
            if name not in trips.columns:
                continue
            if not (name == "price" and self._refunds):
                yield _where(trips[name] < 0, f"{name} is negative")
            yield _where(trips[name].abs() > MAX_AMOUNT, f"{name} is above 10^9")
        for name, limit in COORDINATES.items():
            if name in trips.columns:
                yield _where(trips[name].abs() > limit, f"{name} is beyond {limit:g} degrees")

    def _null_checks(
        self, rows: pl.DataFrame, trips: pl.DataFrame, names: Sequence[str], needed: Sequence[str]
    ) -> Iterator[pl.Expr]:
        for name in names:
            if name not in trips.columns or not trips[name].has_nulls():
                continue
            is_null, had_value = trips[name].is_null(), self._had_value(rows, name)
            if name in needed:
                yield _where(is_null & ~had_value, f"no {name}")
            yield _where(is_null & had_value, f"{name} can't be read")

    def _unread(
        self, rows: pl.DataFrame, columns: Mapping[str, pl.Series], reasons: pl.Series
    ) -> Iterator[tuple[str, int]]:
        """Yield the fields that trips lack although the file has something there, with how many.

        Of our own record a time is sent as it is.
        """
        ends = () if self._plan.format.is_passed_on else ("end_time",)
        for name in (*COORDINATES, *ends):
            if name not in columns or not columns[name].has_nulls():
                continue
            is_lost = columns[name].is_null() & self._had_value(rows, name) & reasons.is_null()
            if count := int(is_lost.sum()):
                yield name, count

    def _had_value(self, rows: pl.DataFrame, name: str) -> pl.Series:
        source = self._plan.sources.get(name)
        if source is None or isinstance(source, Points):
            return pl.repeat(False, rows.height, dtype=pl.Boolean, eager=True)
        return has_value(raw_column(rows, columns_of(source)[0]))


def _known_places(columns: Mapping[str, pl.Series]) -> dict[str, pl.Series]:
    """Return positions without those at 0, 0, which recorders write when they have none."""
    places: dict[str, pl.Series] = {}
    for lat, lng in (("start_lat", "start_lng"), ("end_lat", "end_lng")):
        if lat in columns and lng in columns:
            is_none = (columns[lat] == 0) & (columns[lng] == 0)
            places |= {name: columns[name].set(is_none, None) for name in (lat, lng)}
    return places


def _is_valid_type(name: str, dtype: pl.DataType) -> bool:
    """Tell whether a text field of our own record has a type in which it can be sent unchanged."""
    return dtype == pl.String or (name in LOCATIONS and dtype.is_integer())


def _where(condition: pl.Series, reason: str) -> pl.Expr:
    return pl.when(condition.fill_null(value=False)).then(pl.lit(reason))


def _raw(rows: pl.DataFrame, source: Source) -> pl.Series:
    return raw_column(rows, columns_of(source)[0])
