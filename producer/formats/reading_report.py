"""What was found in trip files: counts that add up, and what people should look at."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

import polars as pl

from producer.formats.raw_batch import RawBatch
from producer.formats.trip_format import OPTIONAL_AMOUNTS
from producer.formats.trip_rows import TripRows

_SAMPLES: Final = 3
_FAR_KM: Final = 100
_LONG_MIN: Final = 24 * 60

_AMOUNTS: Final = {"distance_km": "a distance", "price": "a price"}

_IMPLAUSIBLE: Final = {
    f"trips longer than {_FAR_KM} km": (("distance_km",), pl.col("distance_km") > _FAR_KM),
    "trips longer than 24 h": (("duration_min",), pl.col("duration_min") > _LONG_MIN),
    "trips with an end before the start": (
        ("start_time", "end_time"),
        pl.col("end_time") < pl.col("start_time"),
    ),
}


@dataclass(slots=True)
class ReadingReport:
    """Counts of all files: `read` is the trips and what is `left_out`, by reason.

    `without` counts the trips that have no distance, and those that have no price, by field;
    `unread` those that lack a field as it can't be read; `recoded` lines were not UTF-8.
    `first` and `last` are starts of trips in epoch ms; `repeated` and `skipped` count local times
    in hours that come twice, and that clocks skip; `implausible` trips are not left out.
    """

    timezone: str
    read: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    implausible: Counter[str] = field(default_factory=Counter)
    without: Counter[str] = field(default_factory=Counter)
    unread: Counter[str] = field(default_factory=Counter)
    recoded: int = 0
    repeated: int = 0
    skipped: int = 0
    first: int | None = None
    last: int | None = None
    samples: list[Mapping[str, Any]] = field(default_factory=list)

    @property
    def trips(self) -> int:
        """How many rows are trips."""
        return self.read - self.left_out.total()

    def add(self, rows: TripRows, kept: pl.DataFrame) -> None:
        """Count a batch, of which these trips are `kept`."""
        self.read += rows.trips.height
        counts = rows.reasons.drop_nulls().value_counts()
        self.left_out.update(dict(counts.iter_rows()))
        for name in OPTIONAL_AMOUNTS:
            has_column = name in kept.columns
            self.without[name] += kept[name].null_count() if has_column else kept.height
        self.unread.update(rows.unread)
        self.repeated += rows.repeated
        self.skipped += rows.skipped
        self._add_implausible(kept)
        self._add_range(rows.starts.filter(rows.reasons.is_null()))
        missing = _SAMPLES - len(self.samples)
        self.samples += kept.head(missing).iter_rows(named=True) if missing > 0 else []

    def add_malformed(self, batch: RawBatch) -> None:
        """Count what a batch of a file has besides its rows."""
        self.read += batch.malformed.height
        self.left_out.update(dict(batch.malformed["reason"].value_counts().iter_rows()))
        self.recoded += batch.recoded

    def summary(self) -> str:
        """Return in one line how rows and trips add up."""
        reasons = ", ".join(f"{reason}: {count:,}" for reason, count in self.left_out.most_common())
        return (
            f"{self.read:,} rows read = {self.trips:,} trips + {self.left_out.total():,} left out"
            + (f" ({reasons})" if reasons else "")
        )

    def totals(self) -> Iterator[str]:
        """Yield how rows and trips add up, and how many trips lack an amount, if any do."""
        yield self.summary()
        lacking = [
            f"without {_AMOUNTS[name]}: {count:,}" for name, count in self.without.items() if count
        ]
        if lacking:
            yield f"trips {'; '.join(lacking)}"

    def lines(self) -> Iterator[str]:
        """Yield what people read before anything is sent."""
        yield from self.totals()
        if self.first is not None and self.last is not None:
            yield f"first start {self._both(self.first)}, last {self._both(self.last)}"
        for sample in self.samples:
            yield "for example " + ", ".join(
                f"{name}={_shown(held)}" for name, held in sample.items() if held is not None
            )
        if self.repeated:
            yield f"{self.repeated:,} times in an hour that comes twice, resolved by the rule"
        if self.skipped:
            yield f"{self.skipped:,} times in an hour that clocks skip, read as an hour later"
        for name, count in self.unread.items():
            yield f"look at this: trips whose {name} can't be read, and is left empty: {count:,}"
        if self.recoded:
            yield (
                f"look at this: lines that are not UTF-8: {self.recoded:,}, read as Windows-1252; "
                "if they are of another encoding, convert the files to UTF-8"
            )
        for what, count in self.implausible.items():
            yield f"look at this: {what}: {count:,} ({count / self.trips:.2%})"

    def _add_implausible(self, kept: pl.DataFrame) -> None:
        for what, (names, condition) in _IMPLAUSIBLE.items():
            if all(name in kept.columns and kept[name].dtype != pl.String for name in names):
                count = int(kept.select(condition.sum()).item())
                if count:
                    self.implausible[what] += count

    def _add_range(self, starts: pl.Series) -> None:
        first, last = starts.min(), starts.max()
        if isinstance(first, int) and isinstance(last, int):
            self.first = first if self.first is None else min(first, self.first)
            self.last = last if self.last is None else max(last, self.last)

    def _both(self, ms: int) -> str:
        at = datetime.fromtimestamp(ms / 1_000, UTC)
        utc = f"{at:%Y-%m-%d %H:%M:%S} UTC"
        if self.timezone == "UTC":
            return utc
        return f"{at.astimezone(ZoneInfo(self.timezone)):%Y-%m-%d %H:%M:%S} {self.timezone} ({utc})"


def _shown(held: object) -> str:
    if isinstance(held, datetime):
        return f"{held:%Y-%m-%dT%H:%M:%SZ}"
    return f"{held:.6g}" if isinstance(held, float) else str(held)[:40]
