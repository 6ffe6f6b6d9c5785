"""Local times of an IANA zone as instants, also where clocks were changed.

Rules: a time of the hour that clocks skip is read as if they had not been changed yet (02:30 is
03:30 of the new time). A start in the hour that comes twice is in the first pass, unless the file
is in the order of starts and its times step back there: from that row on it is the second. An end
in that hour is in the first pass, unless that is before the start.
"""

from dataclasses import dataclass
from typing import Final

import polars as pl

from mobility.time_zones import zone_fault
from producer.formats.errors import TripsFileError

# Clocks are changed at full quarters of an hour, in all zones since 1972: one lookup serves each.
_QUARTER_MS: Final = 900_000
_DAY_MS: Final = 86_400_000
_NEAR_MS: Final = 60 * _DAY_MS
_BEFORE_CHANGE_MS: Final = 10_800_000


@dataclass(frozen=True, slots=True)
class Instants:
    """Times in epoch ms (Int64), and how many of them were in a repeated or a skipped hour."""

    ms: pl.Series
    repeated: int = 0
    skipped: int = 0


def check_timezone(name: str) -> None:
    """Raise TripsFileError if there is no such IANA time zone."""
    if (fault := zone_fault(name)) is not None:
        msg = f"no such time zone: {name} ({fault})"
        raise TripsFileError(msg)


class LocalTimes:
    """Resolves the local times of one file, which it gets in the order of the file.

    Local times are numbers: the epoch ms that they would be in UTC.
    """

    def __init__(self, timezone: str) -> None:
        self._timezone = timezone
        self._in_order = True
        self._latest: int | None = None
        self._second_pass_day: int | None = None

    def starts(self, local: pl.Series) -> Instants:
        """Return the instants of starts; null where the local time is."""
        if self._timezone == "UTC":
            return Instants(local)
        found = self._candidates(local)
        is_repeated = found["first"] != found["second"]
        second = self._in_second_pass(local, is_repeated.fill_null(value=False))
        return _instants(found, is_repeated, second)

    def ends(self, local: pl.Series, starts: pl.Series) -> Instants:
        """Return the instants of ends, given those of the starts."""
        if self._timezone == "UTC":
            return Instants(local)
        found = self._candidates(local)
        is_repeated = found["first"] != found["second"]
        return _instants(found, is_repeated, (found["first"] < starts).fill_null(value=False))

    def _candidates(self, local: pl.Series) -> pl.DataFrame:
        """Return `first` and `second` (epoch ms, different in a repeated hour), and `skipped`."""
        constant = self._constant_offset(local)
        if constant is not None:
            instants = local - constant
            return pl.DataFrame({"first": instants, "second": instants}).with_columns(skipped=False)
        quarters = (local // _QUARTER_MS).alias("quarter")
        table = self._offsets(quarters.unique().drop_nulls())
        offsets = quarters.to_frame().join(table, on="quarter", how="left", maintain_order="left")
        return offsets.select(
            first=local - pl.col("first"), second=local - pl.col("second"), skipped="skipped"
        )

    def _constant_offset(self, local: pl.Series) -> int | None:
        """Return the offset of all these times, if they are near each other and it is one."""
        first, last = local.min(), local.max()
        if not isinstance(first, int) or not isinstance(last, int) or last - first > _NEAR_MS:
            return None
        quarters = range(first // _QUARTER_MS, last // _QUARTER_MS + 1)
        table = self._offsets(pl.Series(quarters, dtype=pl.Int64))
        if table["skipped"].any() or table.select("first", "second").n_unique() > 1:
            return None
        return int(table["first"][0]) if table["first"][0] == table["second"][0] else None

    def _offsets(self, quarters: pl.Series) -> pl.DataFrame:
        """Return the offsets from UTC (ms) at the local times at which these quarters begin."""
        local = quarters * _QUARTER_MS
        first, second = self._resolve(local, "earliest"), self._resolve(local, "latest")
        before = local - _BEFORE_CHANGE_MS
        offset_before = before - self._resolve(before, "earliest")
        return pl.DataFrame(
            {
                "quarter": quarters,
                "first": (local - first).zip_with(first.is_not_null(), offset_before),
                "second": (local - second).zip_with(second.is_not_null(), offset_before),
                "skipped": first.is_null(),
            }
        )

    def _resolve(self, local: pl.Series, ambiguous: str) -> pl.Series:
        return (
            local.cast(pl.Datetime("ms"))
            .to_frame("at")
            .select(
                pl.col("at")
                .dt.replace_time_zone(
                    self._timezone,
                    ambiguous=ambiguous,  # type: ignore[arg-type] # one of Polars' words
                    non_existent="null",
                )
                .dt.epoch("ms")
            )
            .to_series()
        )

    def _in_second_pass(self, local: pl.Series, is_repeated: pl.Series) -> pl.Series:
        """Tell which starts are in the second pass of a repeated hour, by the order of the file."""
        if not is_repeated.any():
            self._take_order(local.drop_nulls())
            return is_repeated
        # A batch with such an hour is rare: once a year.
        second = [
            self._take_start(at, repeated) if at is not None else False
            for at, repeated in zip(local, is_repeated, strict=True)
        ]
        return pl.Series(second, dtype=pl.Boolean)

    def _take_order(self, local: pl.Series) -> None:
        if local.is_empty():
            return
        is_later = self._latest is None or local[0] >= self._latest
        self._in_order = self._in_order and is_later and local.is_sorted()
        self._latest = local[-1]

    def _take_start(self, at: int, is_repeated: bool) -> bool:
        steps_back = self._latest is not None and at < self._latest
        day = at // _DAY_MS
        if steps_back and is_repeated and self._second_pass_day != day:
            self._second_pass_day = day
        elif steps_back:
            self._in_order = False
        self._latest = at
        return is_repeated and self._in_order and self._second_pass_day == day


def _instants(found: pl.DataFrame, is_repeated: pl.Series, second: pl.Series) -> Instants:
    ms = found["second"].zip_with(second & is_repeated.fill_null(value=False), found["first"])
    return Instants(ms, int(is_repeated.sum()), int(found["skipped"].sum()))
