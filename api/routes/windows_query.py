"""The parameters of windows: which of them, in which buckets."""

from collections.abc import Iterator
from datetime import tzinfo
from itertools import islice
from typing import Annotated, Final
from zoneinfo import ZoneInfo

from litestar.openapi.spec import Example
from litestar.params import QueryParameter

from api.errors import InvalidParameterError, RangeTooLongError
from api.queries.buckets import (
    Granularity,
    bucket_bounds,
    bucket_length,
    clip_range,
    each_bound,
    iso_duration,
    series_range,
)
from api.queries.local_times import LocalTimes, Part
from api.queries.time_range import TimeRange, WindowingStrategy

GranularityParameter = Annotated[
    Granularity | None,
    QueryParameter(description="The length of a bucket; by default, that of a window."),
]
HoursParameter = Annotated[
    str | None,
    QueryParameter(
        description="Count windows that start in these hours of the time zone only: 8-9 is from "
        "8:00 until 9:00.",
        examples=[Example(value="8-9"), Example(value="7-9,17-19"), Example(value="22-6")],
    ),
]
WeekdaysParameter = Annotated[
    str | None,
    QueryParameter(
        description="Count windows that start on these days of the time zone only.",
        examples=[Example(value="mon-fri"), Example(value="sat,sun")],
    ),
]
DistributionsParameter = Annotated[
    bool,
    QueryParameter(
        description="With `distributions=1` rows have percentiles of their single trips (such as "
        "`trip_duration_p90`, within 2 %) and numbers of different people, for the measures that "
        "MOBILITY_MEASURES names. In NDJSON, CSV and Parquet.",
    ),
]
MAX_PARTS: Final = 4_000
"""How often the hours may be in a range: one a day is eleven years."""

_CHUNK: Final = 6 * 3_600_000
"""How much time one query of an export is about, in ms: Postgres sorts it in memory."""


def range_with_parts(
    windowing: WindowingStrategy,
    bounds: tuple[str | None, str | None],
    zone: tzinfo,
    local_times: tuple[str | None, str | None],
    prefix: str = "",
) -> TimeRange:
    """Return the range of `from` and `to`, with parts if there are `hours` or `weekdays`.

    `prefix` stands before the names of these parameters in messages. Raises InvalidParameterError,
    and RangeTooLongError for more parts than one query may have.
    """
    found = windowing.parse_range(*bounds, zone, prefix)
    times = LocalTimes.parse(*local_times, prefix)
    if times == LocalTimes():
        return found
    if found.start is None or found.end is None:
        name = "weekdays" if local_times[0] is None else "hours"
        msg = f"{prefix}{name}: only with `{prefix}from` and `{prefix}to`"
        raise InvalidParameterError(msg)
    parts = tuple(islice(times.parts(*found.bounds, zone), MAX_PARTS + 1))
    if len(parts) > MAX_PARTS:
        msg = f"{prefix}from: the range has these hours more than {MAX_PARTS:,} times"
        raise RangeTooLongError(msg)
    return TimeRange(found.start, found.end, parts)


class WindowsQuery:
    """The windows of a range, at some hours and on some days, in buckets.

    The range is moved to bounds of windows, and has an end only once the newest window is known.
    """

    def __init__(
        self,
        windowing: WindowingStrategy,
        *,
        start: str | None,
        end: str | None,
        granularity: Granularity | None,
        zone: ZoneInfo,
        hours: str | None,
        weekdays: str | None,
    ) -> None:
        self.windowing = windowing
        self.tz = zone.key
        self._zone = zone
        self._length = bucket_length(granularity, windowing)
        self._time_range = windowing.parse_range(start, end, zone)
        self._local_times = LocalTimes.parse(hours, weekdays)
        self.granularity = iso_duration(self._length)

    def range_until(self, newest_window: int) -> TimeRange:
        """Return the range, for what has this newest window."""
        return series_range(self._time_range, newest_window, self._length, self.windowing)

    def bounds(self, time_range: TimeRange) -> tuple[int, ...]:
        """Return the bounds of the buckets in a range; raises RangeTooLongError."""
        return bucket_bounds(time_range, self._length, self._zone, self.windowing)

    def clip(self, time_range: TimeRange, oldest: int, newest: int) -> TimeRange:
        """Return a range without the days that have no windows."""
        windows = (oldest, newest)
        return clip_range(time_range, windows, self._length, self._zone, self.windowing)

    def parts(self, time_range: TimeRange) -> Iterator[Part]:
        """Yield the parts of a range whose windows count, in order."""
        return self._local_times.parts(*time_range.bounds, self._zone)

    def chunks(self, time_range: TimeRange) -> Iterator[tuple[int, ...]]:
        """Yield the bounds of the buckets in a range, some at a time."""
        chunk: list[int] = []
        for bound in each_bound(time_range, self._length, self._zone, self.windowing):
            if len(chunk) > 1 and bound - chunk[0] > _CHUNK:
                yield tuple(chunk)
                chunk = chunk[-1:]
            chunk.append(bound)
        if chunk:
            yield tuple(chunk)
