"""The commands of docs/questions.md, run by curl, and their answers by a computation over trips."""

import io
import json
import math
import random
import re
import secrets
import shlex
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import msgspec
import polars as pl
import polars.selectors as cs
import pytest

from benchmarks.tenant import empty_tenant, tenant_settings
from mobility.entities import BY_NAME
from mobility.measures import COUNTS, MEANS
from mobility.records import MICRO
from mobility.settings import Settings, to_environ
from mobility.sketches import histogram
from mobility.sketches.columns import canonical_columns, encoded_columns
from stack.ports import find_free_port
from tests.api.expected import COUNT_OF, SUMS, amounts_of, expected_amounts, fill_stores
from tests.api.test_main import api, wait_for_health
from tests.waiting import DEADLINE
from tests.windows import window_frame

pytestmark = [pytest.mark.services, pytest.mark.xdist_group("questions")]

_PAGE: Final = Path(__file__).parents[2] / "docs/questions.md"
_BASE: Final = "http://127.0.0.1:8000"
_QUESTION: Final = re.compile(
    r"^## (?P<text>.+)\n\n {4}(?P<command>curl .+)\n\n"
    r"(?:.+\n\n)?```(?P<language>\w+)\n(?P<shown>[^`]*)```$",
    re.MULTILINE,
)
_ISO: Final = "%Y-%m-%dT%H:%M:%SZ"

START, END = datetime(2025, 2, 20, tzinfo=UTC), datetime(2025, 4, 5, tzinfo=UTC)
"""Between these trips start: before March in Berlin, in it and after it."""

FLEETS: Final = {"car": range(1, 25), "scooter": range(25, 37), "bike": range(37, 43)}
"""The numbers of the drivers of each vehicle type."""

ZONES: Final = (
    "891f1d48903ffff",
    "891f1d4890bffff",
    "891f1d4890fffff",
    "891f1d4891bffff",
    "891f1d48943ffff",
    "891f1d48947ffff",
    "891f1d4894bffff",
    "891f1d4894fffff",
    "891f1d48953ffff",
    "891f1d48957ffff",
)
BY_HOUR: Final = (2, 1, 1, 1, 2, 4, 9, 12, 8, 6, 6, 7, 7, 7, 8, 10, 13, 12, 9, 7, 6, 5, 4, 3)
BY_WEEKDAY: Final = (9, 10, 10, 11, 12, 7, 5)
"""How many trips start in an hour (UTC), and on a day, compared with others."""

LONGEST: Final = {"car": 600, "scooter": 250, "bike": 400}
"""How long a trip can last, in tenths of a minute."""

LOCAL: Final = pl.col("start").dt.convert_time_zone("Europe/Berlin")


@dataclass(frozen=True, slots=True)
class Question:
    """A question of the page, its command, and the answer that is shown."""

    text: str
    command: str
    language: str
    shown: str

    def read_shown(self) -> Any:  # noqa: ANN401 - any JSON
        """Return the answer that is shown."""
        if self.language == "csv":
            return pl.read_csv(io.StringIO(self.shown)).to_dicts()
        if self.language == "ndjson":
            return [json.loads(line) for line in self.shown.splitlines()]
        return json.loads(self.shown)

    def read(self, answer: bytes) -> Any:  # noqa: ANN401 - any JSON
        """Return what an answer to the command has."""
        if "format=csv" in self.command:
            return pl.read_csv(answer).to_dicts()
        if "format=parquet" in self.command:
            rows = pl.read_parquet(io.BytesIO(answer))
            # The shown rows are NDJSON, whose numbers are read as doubles.
            doubles = cs.decimal().cast(pl.Float64)
            return rows.with_columns(cs.datetime().dt.strftime(_ISO), doubles).to_dicts()
        if "/windows/" in self.command:
            return [json.loads(line) for line in answer.splitlines()]
        return json.loads(answer)


QUESTIONS: Final = {
    found["text"]: Question(**found.groupdict()) for found in _QUESTION.finditer(_PAGE.read_text())
}


def random_trips(number: int = 15_000) -> pl.DataFrame:
    """Return trips, with amounts in micro-units."""
    generator = random.Random(11)  # noqa: S311 - the same numbers each time
    days = [START + timedelta(days=day) for day in range((END - START).days)]
    rows = []
    for _ in range(number):
        [vehicle_type] = generator.choices(list(FLEETS), [6, 3, 1])
        [hour] = generator.choices(range(24), BY_HOUR)
        # In the morning other zones are busy than later.
        [zone] = generator.choices(ZONES, range(len(ZONES), 0, -1) if hour < 10 else None)
        [day] = generator.choices(days, [BY_WEEKDAY[day.weekday()] for day in days])
        time = timedelta(hours=hour, seconds=generator.randrange(3_600))
        tenths = generator.randrange(20, LONGEST[vehicle_type])
        rows.append(
            {
                "start": day + time,
                "vehicle_type": vehicle_type,
                "driver": f"driver-{generator.choice(FLEETS[vehicle_type]):02}",
                "h3": zone,
                **dict.fromkeys(COUNTS, 1),
                "total_duration": tenths * MICRO // 10,
                "total_distance": tenths * generator.randrange(20, 60) * MICRO // 1_000,
                "total_revenue": (300 + tenths * generator.randrange(8, 14)) * MICRO // 100,
            }
        )
    return pl.DataFrame(rows).with_columns(pl.col("start").cast(pl.Datetime("ms", "UTC")))


TRIPS: Final = random_trips()


def windows_of(entity: str) -> pl.DataFrame:
    """Return the windows of an entity (WINDOW_SCHEMA), as the flow makes them of the trips."""
    start = pl.col("start").dt.epoch("ms")
    duration = histogram.record_of("total_duration").alias("duration_histogram")
    found = TRIPS.group_by(id=entity, window_start=start // 300_000 * 300_000).agg(
        duration,
        *(pl.col(name).sum() for name in SUMS),
        start_time=start.min(),
        last_start_time=start.max(),
        max_price=pl.col("total_revenue").max(),
        max_distance=pl.col("total_distance").max(),
        pane=pl.lit("on_time"),
        generation=0,
    )
    windows = window_frame(found.iter_rows(named=True))
    return encoded_columns(canonical_columns(windows.hstack([found["duration_histogram"]])))


@pytest.fixture(scope="module")
def answers(services: Settings, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, bytes]:
    """Return the answer to each question: what curl prints, or writes to a file."""
    if shutil.which("curl") is None:
        pytest.skip("no curl: install it with `apt-get install curl`")
    name, port = f"test_{secrets.token_hex(4)}", find_free_port()
    with empty_tenant(services, name):
        settings = msgspec.structs.replace(
            tenant_settings(services, name),
            stores=("postgres",),
            api_port=port,
            measures=("duration_histogram",),
        )
        for entity in ("driver", "vehicle_type", "h3"):
            fill_stores(settings, windows_of(entity), int(END.timestamp() * 1_000), BY_NAME[entity])
        folder = tmp_path_factory.mktemp("answers")
        with api(to_environ(settings)):
            wait_for_health(port)
            found = {text: run(each.command, port, folder) for text, each in QUESTIONS.items()}
    return found


def run(command: str, port: int, folder: Path) -> bytes:
    """Run a command of the page against the API at this port; return its answer."""
    program, *arguments = shlex.split(command.replace(_BASE, f"http://127.0.0.1:{port}"))
    done = subprocess.run(
        [program, "--silent", "--show-error", "--fail-with-body", *arguments],
        cwd=folder,
        capture_output=True,
        timeout=DEADLINE,
        check=False,
    )
    assert done.returncode == 0, (command, done.stdout, done.stderr)
    return (folder / arguments[1]).read_bytes() if arguments[0] == "-o" else done.stdout


def between(first: date, last: date) -> pl.DataFrame:
    """Return the trips from a day to another one in Berlin, inclusive."""
    return TRIPS.filter(LOCAL.dt.date().is_between(first, last))


MARCH: Final = between(date(2025, 3, 1), date(2025, 3, 31))
WEEK: Final = between(date(2025, 3, 17), date(2025, 3, 23))


def rows_of(trips: pl.DataFrame, entity: str, every: str) -> list[dict[str, Any]]:
    """Return the rows of an export of these trips, in buckets of Berlin."""
    bucket = LOCAL.dt.truncate(every)
    frame = trips.with_columns(
        id=entity,
        window_start=bucket.dt.convert_time_zone("UTC").dt.strftime(_ISO),
        window_end=bucket.dt.offset_by(every).dt.convert_time_zone("UTC").dt.strftime(_ISO),
        complete=True,
    )
    return expected_amounts(frame, ["window_start", "id", "window_end", "complete"])


def exact(trips: pl.DataFrame) -> dict[str, Fraction]:
    """Return the exact sums and means of trips."""
    sums = {
        name: Fraction(int(trips[name].sum()), MICRO if name in COUNT_OF else 1) for name in SUMS
    }
    return sums | {mean: sums[name] / sums["trip_count"] for mean, name in MEANS.items()}


def check_top(body: dict[str, Any], trips: pl.DataFrame, entity: str, by: str) -> None:
    """Check the first three ids with their ranks and shares, and the total."""
    whole, ids = exact(trips), expected_amounts(trips, [entity])
    ids.sort(key=lambda each: (-each[by], each[entity]))
    expected = [
        {
            "rank": 1 + sum(other[by] > each[by] for other in ids),
            "id": each[entity],
            "share": float(exact(trips.filter(pl.col(entity) == each[entity]))[by] / whole[by]),
            **amounts_of(each),
        }
        for each in ids[:3]
    ]
    assert body["items"] == expected
    assert body["active_ids"] == len(ids)
    assert [body["total"]] == expected_amounts(trips)
    assert body["complete"]


def check_comparison(body: dict[str, Any], left: pl.DataFrame, right: pl.DataFrame) -> None:
    """Check both sides, their difference and their ratio, each rounded once."""
    left_exact, right_exact = exact(left), exact(right)
    for side, amounts in (("left", left_exact), ("right", right_exact)):
        assert amounts_of(body[side]) == {name: float(value) for name, value in amounts.items()}
        assert body[side]["complete"]
    for name in left_exact:
        assert body["difference"][name] == float(left_exact[name] - right_exact[name])
        assert body["ratio"][name] == float(left_exact[name] / right_exact[name])


def check_busiest_zones(body: dict[str, Any]) -> None:
    """Check those of trips that start from 8 to 9 in Berlin on Monday to Friday."""
    mornings = MARCH.filter(LOCAL.dt.hour() == 8, LOCAL.dt.weekday() <= 5)
    assert mornings.select(LOCAL.dt.date().n_unique()).item() == 21
    check_top(body, mornings, "h3", "trip_count")


def check_revenue_by_hour(rows: list[dict[str, Any]]) -> None:
    """Check the hours of two Mondays."""
    days = pl.concat(between(day, day) for day in (date(2025, 3, 17), date(2025, 3, 24)))
    assert rows == rows_of(days, "vehicle_type", "1h")


def check_week(body: dict[str, Any]) -> None:
    """Check a week, and the one before."""
    check_comparison(body, WEEK, between(date(2025, 3, 10), date(2025, 3, 16)))


def check_duration(rows: list[dict[str, Any]]) -> None:
    """Check the hours of a day."""
    day = between(date(2025, 3, 20), date(2025, 3, 20))
    percentiles = [
        {percent: row.pop(f"trip_duration_p{percent}") for percent in (50, 90, 99)} for row in rows
    ]
    assert rows == rows_of(day, "vehicle_type", "1h")
    hour = LOCAL.dt.truncate("1h").dt.convert_time_zone("UTC").dt.strftime(_ISO)
    for row, found in zip(rows, percentiles, strict=True):
        trips = day.filter(pl.col("vehicle_type") == row["id"], hour == row["window_start"])
        ordered = trips["total_duration"].sort() / MICRO
        assert found == {
            percent: pytest.approx(ordered[math.ceil(len(ordered) * percent / 100) - 1], rel=0.02)
            for percent in found
        }


def check_top_drivers(body: dict[str, Any]) -> None:
    """Check those of March."""
    check_top(body, MARCH, "driver", "total_revenue")


def check_weekly_pattern(rows: list[dict[str, Any]]) -> None:
    """Check four weeks, which end with a day of 23 hours."""
    weeks = between(date(2025, 3, 3), date(2025, 3, 30))
    assert rows == rows_of(weeks, "vehicle_type", "1d")


def check_late_night(body: dict[str, Any]) -> None:
    """Check trips of the night, and all trips."""
    hour = LOCAL.dt.hour()
    check_comparison(body, MARCH.filter((hour >= 22) | (hour < 6)), MARCH)


def check_typical_driver(body: dict[str, Any]) -> None:
    """Check percentiles of the sums of each driver by the nearest rank."""
    drivers = WEEK.group_by("driver").agg(pl.col(name).sum() for name in SUMS)
    assert [amounts_of(body)] == expected_amounts(WEEK)
    assert body["active_ids"] == drivers.height
    assert body["complete"]
    for name in SUMS:
        ordered = drivers[name].sort()
        unit = MICRO if name in COUNT_OF else 1
        assert body["distribution"][name] == {
            f"p{share}": ordered[math.ceil(len(ordered) * share / 100) - 1] / unit
            for share in (50, 90, 99)
        }


def check_each_driver(rows: list[dict[str, Any]]) -> None:
    """Check all drivers of March, by revenue."""
    sums = expected_amounts(MARCH, ["driver"])
    sums.sort(key=lambda each: (each["total_revenue"], each["driver"]), reverse=True)
    assert rows == [{"id": each["driver"], **{name: each[name] for name in SUMS}} for each in sums]


def check_all_of_march(rows: list[dict[str, Any]]) -> None:
    """Check each window of each zone."""
    assert rows == rows_of(MARCH, "h3", "5m")


CHECKS: Final[dict[str, Callable[[Any], None]]] = {
    "Which zones are busiest from 8 to 9 on weekdays?": check_busiest_zones,
    "How is revenue by hour, against the same day of last week?": check_revenue_by_hour,
    "How was the week, against the week before?": check_week,
    "How long is a trip, by vehicle type and hour?": check_duration,
    "Who are the top drivers?": check_top_drivers,
    "What is the weekly pattern?": check_weekly_pattern,
    "What share of trips is late at night?": check_late_night,
    "What does a typical driver earn?": check_typical_driver,
    "What did each driver do in March?": check_each_driver,
    "Where can I get all of March?": check_all_of_march,
}


def test_the_questions_are_all() -> None:
    """Every command of the page is that of a question, and every question has a check."""
    assert list(QUESTIONS) == list(CHECKS)
    assert _PAGE.read_text().count("    curl ") == len(CHECKS) == 10


@pytest.mark.parametrize("text", CHECKS)
def test_an_answer_is_right(answers: Mapping[str, bytes], text: str) -> None:
    """All of it, by a computation over trips that shares nothing with the API."""
    CHECKS[text](QUESTIONS[text].read(answers[text]))


@pytest.mark.parametrize("text", CHECKS)
def test_an_answer_is_shown(answers: Mapping[str, bytes], text: str) -> None:
    """What the page shows is part of the answer."""
    question = QUESTIONS[text]
    shown = question.read_shown()
    assert shown
    assert is_part(shown, question.read(answers[text]))


def is_part(shown: Any, found: Any) -> bool:  # noqa: ANN401 - any JSON
    """Return whether a value is another one without some fields and items."""
    if isinstance(shown, dict):
        return all(name in found and is_part(shown[name], found[name]) for name in shown)
    if isinstance(shown, list):
        rest = iter(found)
        return all(any(is_part(item, each) for each in rest) for item in shown)
    return bool(shown == found)
