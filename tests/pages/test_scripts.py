"""Modules of the pages that calculate, run in the browser."""

import random
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from api.queries.buckets import bucket_bounds
from api.queries.time_range import TimeRange, WindowingStrategy
from tests.pages.conftest import Visit

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.services,
    pytest.mark.xdist_group("pages"),
]


def test_class_bounds(visit: Visit) -> None:
    """Bounds ascend, are within the values, and every class has a colour."""
    tab = visit("/pipeline")
    draw = random.Random(1)  # noqa: S311 - the same values each time
    samples: list[list[float]] = [[], [0], [5], [1, 1, 1], [1, 2, 3], [0.001, 0.002, 7]]
    samples += [[draw.paretovariate(0.7) * 10**size for _ in range(300)] for size in range(-2, 7)]
    samples += [[draw.randint(1, most) for _ in range(200)] for most in (2, 5, 30, 10**6)]
    script = """async (samples) => {
      const { classBounds, classOf, colourOf } = await import("/assets/colour-classes.js");
      return samples.map((values) => {
        const limits = classBounds(values);
        const classes = limits.length ? [...limits.keys(), limits.length] : [];
        return { limits, classes: values.map((value) => classOf(value, limits)),
          colours: classes.map((one) => colourOf(one, limits)) };
      });
    }"""
    for values, found in zip(samples, tab.evaluate(script, samples), strict=True):
        limits, classes, colours = found["limits"], found["classes"], found["colours"]
        assert limits == sorted(set(limits))
        assert len(limits) <= 5
        assert classes == [sum(value >= limit for limit in limits) for value in values]
        assert colours == sorted(set(colours))
        assert all(0 <= colour <= 5 for colour in colours)
        if len(set(values)) > 1 and min(values) > 0:
            assert limits
            assert min(values) < limits[0]
            assert limits[-1] <= max(values)


def test_numbers_with_more_digits_than_a_double(visit: Visit) -> None:
    """All of them are shown, and they count as any number; a small one is a double as ever."""
    tab = visit("/pipeline")
    script = """async (text) => {
      const { parse } = await import("/assets/digits.js");
      const { hours, km, metricOf, money, valueOf } = await import("/assets/format.js");
      const totals = parse(text);
      return [
        money(totals.total_revenue), `${totals.total_revenue}`, hours(totals.total_duration),
        km(totals.total_distance), valueOf(metricOf("avg_revenue"), totals),
        totals.total_revenue + 1, totals.total_revenue > totals.small,
        typeof totals.small, money(totals.small),
      ];
    }"""
    text = (
        '{"total_revenue":1000000000000000000000.555001,"revenue_count":1000000000000,'
        '"total_duration":123456789012345678901.5,"total_distance":-9223372036854775.807,'
        '"small":9007199254.740992}'
    )
    assert tab.evaluate(script, text) == [
        "1,000,000,000,000,000,000,000.56",
        "1000000000000000000000.555001",
        "2,057,613,150,205,761,315 h",
        "-9,223,372,036,854,775.8 km",
        10**9,
        10**21,
        True,
        "number",
        "9,007,199,254.74",
    ]


def test_the_rate_counts_each_trip_once(visit: Visit) -> None:
    """An event has the total count of a window: repeats and late panes add new trips only."""
    tab = visit("/pipeline")
    steps: list[tuple[int, list[dict[str, Any]]]] = [
        (0, [{"id": "car", "window_start": "2025-01-01T12:00:00Z", "trip_count": 12}]),
        (2_000, [{"id": "car", "window_start": "2025-01-01T12:00:00Z", "trip_count": 15}]),
        (2_500, [{"id": "car", "window_start": "2025-01-01T12:00:00Z", "trip_count": 15}]),
        (4_000, [{"id": "car", "window_start": "2025-01-01T12:05:00Z", "trip_count": 4}]),
        (6_000, [{"id": "car", "window_start": "2025-01-01T11:55:00Z", "trip_count": 70}]),
        (8_000, [{"id": "bike", "window_start": "2025-01-01T12:05:00Z", "trip_count": 9}]),
    ]
    script = """async (steps) => {
      const { TripRate } = await import("/assets/trip-rate.js");
      const rate = new TripRate();
      rate.setCount("car", "2025-01-01T12:00:00Z", 10);
      const start = Math.ceil(Date.now() / 2000) * 2000;
      for (const [after, windows] of steps) rate.addChanges(windows, start + after);
      return [...rate.slots].map(([time, trips]) => [time - start, trips]);
    }"""
    # An unknown window that is not the newest one may have been counted long ago.
    assert tab.evaluate(script, steps) == [[0, 2], [2_000, 3], [4_000, 4]]


def test_groups_have_the_sums_of_their_cells(visit: Visit) -> None:
    """Each cell is in one group, and the sums of all groups are those of all cells."""
    tab = visit("/")
    script = """async () => {
      const { groupCells } = await import("/assets/cells.js");
      const { items } = await (await fetch("/top/h3?limit=5000")).json();
      const cells = items.filter(({ id }) => h3.isValidCell(id));
      return [9, 8, 7, 5].map((level) => {
        const groups = [...groupCells(cells, level).values()];
        return [groups.length, groups.every(({ id }) => h3.getResolution(id) <= level),
          groups.reduce((sum, one) => sum + one.cells, 0),
          groups.reduce((sum, one) => sum + one.trip_count, 0),
          cells.length, cells.reduce((sum, one) => sum + one.trip_count, 0)];
      });
    }"""
    sizes = []
    for groups, fits, cells, trips, all_cells, all_trips in tab.evaluate(script):
        assert fits
        assert (cells, trips) == (all_cells, all_trips)
        sizes.append(groups)
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] > sizes[-1]


def test_ages_dates_and_short_ids(visit: Visit) -> None:
    """Ages in a unit that says something, days with another year, ids of cells without padding."""
    tab = visit("/pipeline")
    script = """async ({ ages, ids }) => {
      const { day, lasting, shortId } = await import("/assets/format.js");
      const year = new Date().getUTCFullYear();
      return [ages.map((age) => lasting(age * 1000)),
        [day(`${year}-01-02`), day(`${year - 1}-01-02`)].map((text) => text.replace(year - 1, "Y")),
        ids.map(shortId)];
    }"""
    day = 86_400
    ages = [-5, 99, 300, 5 * 3600, 3 * day, 698 * day, 2127 * day]
    ids = {
        "892a100d34bffff": "892a100d34b",
        "892a100d20fffff": "892a100d20f",
        "842a101ffffffff": "842a101",
        "8f2a100d20f00ff": "8f2a100d20f00ff",
        "89ffff": "89ffff",
        "892a100d34babcd": "892a100d34babcd",
    }
    texts = ["0 s", "99 s", "5 min", "5 h", "3 days", "23 months", "6 years"]
    assert tab.evaluate(script, {"ages": ages, "ids": [*ids]}) == [
        texts,
        ["2 Jan", "2 Jan Y"],
        [*ids.values()],
    ]


def test_numbers_in_a_small_space(visit: Visit) -> None:
    """A number above 0 is never shown as 0.0."""
    script = """async (values) => {
      const { brief } = await import("/assets/format.js");
      return values.map(brief);
    }"""
    shown = {0: "0", 0.0042: "0.0042", 0.04: "0.04", 0.25: "0.3", 3: "3", 4.26: "4.3", 312.4: "312"}
    assert visit("/pipeline").evaluate(script, [*shown]) == [*shown.values()]


def test_amounts_of_a_part_of_the_trips(visit: Visit) -> None:
    """Means are of the trips that have the amount; without any there is neither sum nor mean."""
    tab = visit("/")
    script = """async (totals) => {
      const { groupCells } = await import("/assets/cells.js");
      const { metricsIn, partOf } = await import("/assets/amounts.js");
      const { METRICS, valueOf } = await import("/assets/format.js");
      const cell = h3.latLngToCell(38.7, -9.1, 9);
      const groups = [[0], [0, 0], [0, 1]].map((indexes) =>
        groupCells(indexes.map((index) => ({ id: cell, ...totals[index] })), 8));
      return groups.map((group) => {
        const [sums] = [...group.values()];
        return [metricsIn(sums).map(({ key }) => key), partOf("total_revenue", sums),
          Object.fromEntries(METRICS.map((metric) => [metric.key, valueOf(metric, sums)]))];
      });
    }"""
    neither = {
        "trip_count": 10,
        "distance_count": 0,
        "revenue_count": 0,
        "total_duration": 120,
        "total_distance": None,
        "total_revenue": None,
    }
    half = {
        "trip_count": 10,
        "distance_count": 10,
        "revenue_count": 4,
        "total_duration": 130,
        "total_distance": 20,
        "total_revenue": 30,
    }
    one, two, mixed = tab.evaluate(script, [neither, half])
    durations = ["trip_count", "total_duration", "avg_duration"]
    unknown = {"total_revenue": None, "total_distance": None, "avg_revenue": None}
    assert one == [
        durations,
        "none of 10 trips has a price",
        {"trip_count": 10, "total_duration": 120, "avg_duration": 12} | unknown,
    ]
    assert two == [
        durations,
        "none of 20 trips has a price",
        {"trip_count": 20, "total_duration": 240, "avg_duration": 12} | unknown,
    ]
    known = {"total_revenue": 30, "total_distance": 20, "avg_revenue": 7.5}
    assert mixed[1:] == [
        "of 4 of 20 trips",
        {"trip_count": 20, "total_duration": 250, "avg_duration": 12.5} | known,
    ]


ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/Havana",  # clocks change at midnight
    "Asia/Kolkata",
    "Australia/Lord_Howe",  # by half an hour
    "Pacific/Apia",  # a day of 2011 is missing
)
MINUTE = 60_000
DAY = 1440 * MINUTE


@pytest.mark.parametrize("zone", ZONES)
def test_buckets_are_those_of_the_api(visit: Visit, zone: str) -> None:
    """Of hours and days, also where days are shorter or longer, or are missing."""
    tab = visit("/pipeline")
    windowing = WindowingStrategy(length=5 * MINUTE, allowed_lateness=0)
    first = datetime(2011, 12, 20, tzinfo=ZoneInfo(zone))
    years = [int(first.replace(year=year).timestamp() * 1_000) for year in (2011, 2024, 2025)]
    ranges = [
        (start + 7 * DAY * week, start + 7 * DAY * week + 10 * DAY + 25 * MINUTE, length)
        for start in years
        for week in range(52)
        for length in (60 * MINUTE, DAY)
    ]
    script = """async ({ zone, ranges }) => {
      const { bucketStart, bucketStarts, setTimeZone } = await import("/assets/time-zone.js");
      setTimeZone(zone);
      return ranges.map(([from, to, step]) => {
        const starts = bucketStarts(from, to, step);
        const ends = [...starts.slice(1), to];
        const isStartOf = (start, time) => bucketStart(time, step) === start;
        return [starts, starts.every((start, index) =>
          index === 0 || (isStartOf(start, start) && isStartOf(start, ends[index] - 1)))];
      });
    }"""
    found = tab.evaluate(script, {"zone": zone, "ranges": ranges})
    for (start, end, length), (starts, fits) in zip(ranges, found, strict=True):
        bounds = bucket_bounds(TimeRange(start, end), length, ZoneInfo(zone), windowing)
        assert starts == list(bounds[:-1])
        assert fits


def test_times_of_a_zone(visit: Visit) -> None:
    """Days and clocks are local; a time that clocks show twice has the name of the zone."""
    tab = visit("/pipeline")
    script = """async () => {
      const { clock, date, instant, isToday, moment, period } = await import("/assets/format.js");
      const { roundTimes, setTimeZone, timeZone, zoneAt } = await import("/assets/time-zone.js");
      const [time, at] = ["2024-10-26T20:15:30Z", Date.parse("2024-10-27T00:00:00Z")];
      const hour = 3_600_000;
      const texts = (zone) => {
        setTimeZone(zone);
        return [timeZone(), zoneAt(time), date(time), clock(time), instant(time),
          period(at - hour, at, { withZone: true }).replace("\u2013", "-"),
          isToday(Date.now()), isToday(Date.now() - 25 * hour)];
      };
      const zones = ["UTC", "Asia/Kolkata", "Europe/Berlin", "Nowhere/City"].map(texts);
      setTimeZone("Europe/Berlin");
      return [...zones, [-1, 0, 1, 2].map((hours) => moment(at + hours * hour)),
        roundTimes(at - 5 * hour, at + 4 * hour, 3 * hour).map(clock)];
    }"""
    utc = [
        *("UTC", "UTC", "26 Oct 2024", "20:15", "26 Oct 2024 20:15:30", "23:00-00:00 UTC"),
        *(True, False),
    ]
    kolkata = [
        *("Asia/Kolkata", "GMT+5:30", "27 Oct 2024", "01:45", "27 Oct 2024 01:45:30"),
        *("04:30-05:30 GMT+5:30", True, False),
    ]
    berlin = [
        *("Europe/Berlin", "CEST", "26 Oct 2024", "22:15", "26 Oct 2024 22:15:30"),
        *("01:00-02:00 CEST", True, False),
    ]
    moments = [f"27 Oct 2024 {text}" for text in ("01:00", "02:00 CEST", "02:00 CET", "03:00")]
    ticks = ["21:00", "00:00", "03:00"]
    assert tab.evaluate(script) == [utc, kolkata, berlin, utc, moments, ticks]
