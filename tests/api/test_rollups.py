"""Answers from rollups of the ledger: those of its windows, also after these were dropped."""

import asyncio
import random
from collections.abc import Iterator, Sequence

import httpx
import msgspec
import polars as pl
import psycopg
import pytest

from api.queries.local_times import Part
from api.queries.postgres_client import Database
from api.queries.postgres_windows import ledger_snapshot
from mobility.entities import BY_NAME
from mobility.settings import Settings
from sinks.ledger_maintenance import maintain_ledger
from tests.api.expected import (
    LENGTH,
    NOON,
    client,
    fill_stores,
    iso,
    random_windows,
    with_stores,
)
from tests.windows import window, window_frame

CELL = BY_NAME["h3"]

pytestmark = pytest.mark.services

HOUR = 3_600_000
DAY = 24 * HOUR
MONDAY = NOON - 6 * DAY - DAY // 2
"""2025-03-24T00:00:00Z. NOON is of a Sunday."""

ZONES = ("UTC", "Asia/Kolkata", "Europe/Berlin", "Australia/Lord_Howe")


@pytest.fixture(params=["Asia/Kolkata", "Europe/Berlin"])
def filled(settings: Settings, request: pytest.FixtureRequest) -> Settings:
    """Return settings of a store with twelve days of windows, in a time zone."""
    one = msgspec.structs.replace(with_stores(settings, "postgres"), timezone=request.param)
    fill_stores(one, random_windows(hours=12 * 24), NOON + DAY, CELL)
    return one


def questions(seed: int = 3) -> Iterator[str]:
    """Yield questions about ranges that begin and end anywhere, or with hours and days."""
    choose = random.Random(seed)  # noqa: S311 - the same each time

    def bounds() -> str:
        step = choose.choice([LENGTH, HOUR // 2, HOUR, DAY])
        first, last = sorted(
            NOON - choose.randrange(0, 13 * DAY, step) // step * step for _ in range(2)
        )
        shift = choose.choice([0, -HOUR, 11 * HOUR // 2])
        return f"from={iso(first + shift)}&to={iso(last + shift + step)}"

    for _ in range(2):
        yield f"/top/h3?{bounds()}"
        yield f"/top/h3?by=trips&{bounds()}&limit=3"
        yield f"/summary/h3?{bounds()}"
        yield f"/metrics/h3?sort=-revenue&{bounds()}"
        yield f"/top/h3?by=trips&{bounds()}&hours=7-9,22-6&weekdays=mon-fri"
        yield f"/metrics/h3/a?{bounds()}"
        for zone in ZONES:
            yield f"/week/h3?{bounds()}&tz={zone}"
            for granularity in ("PT1H", "P1D", "PT15M"):
                options = f"granularity={granularity}&tz={zone}"
                yield f"/metrics/h3/a%2Fb/windows?{bounds()}&{options}"
                yield f"/windows/h3?{bounds()}&{options}&format=csv"
            yield f"/windows/h3?{bounds()}&granularity=P1D&tz={zone}&hours=8-9&format=ndjson"
        yield f"/compare/h3?{bounds()}&hours=8-9&other_hours=9-12"
    yield "/top/h3"
    yield "/metrics/h3/a"


def answers(http: httpx.Client) -> dict[str, tuple[int, str]]:
    """Return the answer to each question."""
    return {path: ((found := http.get(path)).status_code, found.text) for path in questions()}


def test_answers_are_the_same(filled: Settings) -> None:
    """With rollups, also while some hours are stale; bytes and all."""
    with client(filled) as http:
        before = answers(http)
        assert {status for status, _ in before.values()} == {200}
        maintain_ledger(filled)
        assert answers(http) == before
        late = window("late", NOON - 5 * DAY, 5), window("a/b", NOON - 3 * DAY - LENGTH, 70)
        fill_stores(filled, window_frame(late), NOON + DAY, CELL)
        stale = answers(http)
        assert stale != before
        maintain_ledger(filled)
        assert answers(http) == stale
        ledger_only(filled)
        assert answers(http) == stale


def ledger_only(settings: Settings) -> None:
    """Let the API find no rollups."""
    with psycopg.connect(settings.postgres, autocommit=True) as connection:
        connection.execute("DELETE FROM rollups")


def test_hours_and_days_stay_when_windows_are_dropped(settings: Settings) -> None:
    """What begins and ends with them is answered as before; all else is refused."""
    kept = msgspec.structs.replace(
        with_stores(settings, "postgres"), timezone="Asia/Kolkata", retention="panes:1d"
    )
    fill_stores(kept, random_windows(hours=12 * 24), NOON + DAY, CELL)
    first = MONDAY - 4 * DAY - 11 * HOUR // 2
    whole = f"from={iso(first)}&to={iso(first + 5 * DAY)}"
    same = [
        f"/top/h3?{whole}",
        f"/summary/h3?{whole}",
        f"/metrics/h3?sort=-trips&{whole}",
        f"/metrics/h3/a?{whole}",
        f"/metrics/h3/a/windows?{whole}&granularity=P1D&tz=Asia/Kolkata",
        f"/metrics/h3/a/windows?{whole}&granularity=PT1H&tz=Asia/Kolkata",
        f"/windows/h3?{whole}&granularity=PT1H&tz=Asia/Kolkata&format=csv",
        f"/windows/h3?{whole}&granularity=P1D&hours=8-9&tz=Asia/Kolkata&format=csv",
        f"/week/h3?{whole}&tz=Asia/Kolkata",
    ]
    refused = [
        f"/metrics/h3/a/windows?{whole}",
        f"/metrics/h3/a/windows?{whole}&granularity=PT1H&tz=UTC",
        f"/windows/h3?{whole}&granularity=PT15M&format=csv",
        f"/week/h3?{whole}&tz=UTC",
        f"/top/h3?from={iso(first + LENGTH)}&to={iso(first + DAY)}",
        f"/metrics/h3?sort=-trips&format=csv&from={iso(first)}&to={iso(first + LENGTH)}",
    ]
    with client(kept) as http:
        before = {path: http.get(path).text for path in same}
        maintain_ledger(kept)
        for path in same:
            found = http.get(path)
            assert (path, found.status_code, found.text) == (path, 200, before[path])
        for path in refused:
            found = http.get(path)
            assert (path, found.status_code) == (path, 404)
            assert found.json()["reaches"] == iso(MONDAY)


@pytest.mark.parametrize("name", ["driver", "h3"])
def test_ranges_from_before_the_oldest_window(settings: Settings, name: str) -> None:
    """Or from it on: its hour and its day are whole, as nothing is before it."""
    kept = msgspec.structs.replace(
        with_stores(settings, "postgres"), timezone="Asia/Kolkata", retention="panes:1d"
    )
    rows = random_windows(hours=12 * 24).filter(pl.col("window_start") > NOON - 12 * DAY + LENGTH)
    fill_stores(kept, rows, NOON + DAY, BY_NAME[name])
    oldest = min(rows["window_start"])
    until = MONDAY - 11 * HOUR // 2
    days, hours = ("granularity=P1D&tz=Asia/Kolkata", "granularity=PT1H&tz=Asia/Kolkata")
    questions = [
        f"/top/{name}?by=trips",
        f"/summary/{name}?",
        f"/metrics/{name}?sort=-revenue",
        f"/metrics/{name}?sort=-revenue&format=csv",
        f"/metrics/{name}/a?",
        f"/metrics/{name}/a/windows?{days}",
        f"/windows/{name}?{days}&format=csv",
    ]
    if name == "h3":
        questions += [f"/metrics/h3/a/windows?{hours}", "/week/h3?tz=Asia/Kolkata"]
    paths = [
        f"{question}&from={iso(first)}&to={iso(until)}"
        for first in (oldest - 30 * DAY, oldest - LENGTH, oldest)
        for question in questions
    ]
    with client(kept) as http:
        before = {path: http.get(path) for path in paths}
        maintain_ledger(kept)
        for path in paths:
            found = http.get(path)
            assert (path, found.status_code, found.text) == (path, 200, before[path].text)


def test_a_sum_beyond_a_bigint(settings: Settings) -> None:
    """Of an hour, whose windows have all that they can."""
    one = with_stores(settings, "postgres")
    most = 2**63 - 1
    rows = [window("a", NOON + n * LENGTH, 1, total_revenue=most) for n in range(12)]
    fill_stores(one, window_frame(rows), NOON + DAY, CELL)
    path = f"/windows/h3?granularity=PT1H&format=csv&from={iso(NOON)}&to={iso(NOON + HOUR)}"
    with client(one) as http:
        before = http.get(path).text
        maintain_ledger(one)
        assert http.get(path).text == before
    (row,) = pl.read_csv(before.encode(), infer_schema_length=0).to_dicts()
    assert row["total_revenue"] == f"{12 * most // 1_000_000}.{12 * most % 1_000_000:06}"


def test_stale_hours_are_those_of_the_question(filled: Settings) -> None:
    """And of the days that it begins and ends in, which can be days of another time zone."""

    async def found(*parts: Part) -> Sequence[int]:
        database = Database(filled.postgres, size=1, seconds=5, memory="4MB")
        async with ledger_snapshot(database, CELL, parts) as snapshot:
            stale = snapshot.state.stale_hours
        await database.close()
        return stale

    maintain_ledger(filled)
    first = MONDAY - 4 * DAY
    late = [window("late", first + n * HOUR) for n in range(8 * 24)]
    fill_stores(filled, window_frame(late), NOON + DAY, CELL)
    days = asyncio.run(found((first + 3 * DAY, first + 3 * DAY + HOUR), (first + 4 * DAY,) * 2))
    assert days == [first + 2 * DAY + n * HOUR for n in range(3 * 24)]
    assert asyncio.run(found()) == []


def test_rollups_are_read(filled: Settings) -> None:
    """And not the windows: they are changed behind the back of the store."""
    maintain_ledger(filled)
    with psycopg.connect(filled.postgres, autocommit=True) as connection:
        connection.execute(f"DELETE FROM {CELL.name}_ledger")  # noqa: S608 - an entity
    day = NOON - 3 * DAY - DAY // 2 - HOUR // 2 * (filled.timezone == "Asia/Kolkata")
    with client(filled) as http:
        found = http.get(f"/top/h3?from={iso(day)}&to={iso(day + 2 * DAY)}").json()
        assert found["total"]["trip_count"] > 0
        hours = f"from={iso(day)}&to={iso(day + DAY)}&granularity=PT1H"
        assert len(http.get(f"/metrics/h3/a/windows?{hours}").json()["items"]) > 0
