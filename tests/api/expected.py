"""Windows in real stores, and the expected amounts, calculated by one Polars expression."""

import io
import random
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
import polars as pl
from litestar import Litestar
from litestar.testing import TestClient

from api.app import create_app
from mobility.entities import BY_NAME, Entity
from mobility.measures import STARTS, TOTALS
from mobility.records import MICRO
from mobility.settings import Settings
from sinks.postgres import connect_postgres
from sinks.redis import connect_redis
from sinks.store import WindowStore
from tests.follower import fill_follower
from tests.waiting import until
from tests.windows import window, window_frame

DRIVER = BY_NAME["driver"]
LENGTH = 300_000
NOON = int(datetime(2025, 3, 30, 12, tzinfo=UTC).timestamp() * 1_000)
"""A day on which clocks went forward in Europe."""

IDS = ("windows", "a/windows", "a", "a/b", "%2F", "é", "水", "🚲", "x y", "top")
COUNT_OF = {
    "total_duration": "trip_count",
    "total_distance": "distance_count",
    "total_revenue": "revenue_count",
}
SUMS = (*COUNT_OF.values(), *COUNT_OF)
WITHOUT_PRICES = "a/b"


def random_windows(seed: int = 7, hours: int = 40) -> pl.DataFrame:
    """Return windows (WINDOW_SCHEMA) before NOON, with gaps, refunds and equal amounts.

    Some trips have no distance or no price, and those of one id never have a price.
    """
    generator, others = random.Random(seed), random.Random(seed + 1)  # noqa: S311 - the same each time

    def two_starts(start: int) -> dict[str, int]:
        times = sorted(start + generator.randrange(LENGTH) for _ in STARTS)
        return dict(zip(STARTS, times, strict=True))

    starts = range(NOON - hours * 12 * LENGTH, NOON, LENGTH)
    rows = [
        window(
            *(entity_id, start, count := generator.randint(1, 3)),
            total_duration=count * generator.choice([1, 333_333, 10_000_000]),
            distance_count=(far := others.randint(0, count)),
            total_distance=far * generator.choice([1, 333_333, 10_000_000]),
            revenue_count=(paid := 0 if entity_id == WITHOUT_PRICES else others.randint(0, count)),
            total_revenue=paid * generator.choice([-1_000_001, 0, 2_500_000, 2**50]),
            **two_starts(start),
        )
        for entity_id in IDS
        for start in starts
        if generator.random() < 0.2
    ]
    return window_frame(rows)


def fill_stores(
    settings: Settings, rows: pl.DataFrame, watermark: int = NOON, entity: Entity = DRIVER
) -> None:
    """Write windows of an entity to the stores of these settings, as the flow does."""
    sink = connect_sink(settings)
    for shard in range(settings.shards):
        sink.apply(entity, rows.filter(pl.col("id").hash(0) % settings.shards == shard))
        sink.record_progress(entity, shard, settings.shards, watermark)
    sink.close()
    if len(settings.stores) > 1:
        fill_follower(settings)


def connect_sink(settings: Settings) -> WindowStore:
    """Connect to the store of these settings that has everything."""
    if "postgres" in settings.stores:
        return connect_postgres(settings, "main")
    return connect_redis(settings, "main")


def client(settings: Settings) -> TestClient[Litestar]:
    """Return a client of the application over the stores of these settings."""
    return TestClient(create_app(settings), "http://127.0.0.1")


def wait_for_redis(http: TestClient[Litestar], url: str = "/metrics/driver/a") -> None:
    """Wait until the API knows the numbers of Postgres, so that Redis answers."""
    until(lambda: get_json(http, url)["store"] == "redis", "an answer from Redis")


def with_stores(settings: Settings, *stores: str) -> Settings:
    """Return the settings with these stores only."""
    return msgspec.structs.replace(settings, stores=stores)


def expected_amounts(rows: pl.DataFrame, by: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Return the amounts of windows, in units, by columns or of all."""
    sums = [pl.col(name).sum() for name in SUMS]
    frame = rows.group_by(by).agg(sums).sort(by) if by else rows.select(sums)
    return [to_amounts(row) for row in frame.to_dicts()]


def rows_of_parquet(content: bytes) -> list[dict[str, Any]]:
    """Return the rows of a Parquet file; of exact sums the nearest doubles, as JSON is read."""
    rows = pl.read_parquet(io.BytesIO(content)).to_dicts()
    return [
        {name: float(each) if isinstance(each, Decimal) else each for name, each in row.items()}
        for row in rows
    ]


def to_amounts(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row of exact sums as amounts: units, and means over the trips that have them.

    Of what no trip has, both are null.
    """
    amounts: dict[str, float | None] = {}
    for name, count_name in COUNT_OF.items():
        count, mean = row[count_name], f"avg_{name.removeprefix('total_')}"
        if row["trip_count"] and not count:
            amounts |= {name: None, mean: None}
        else:
            amounts |= {
                name: row[name] / MICRO,
                mean: row[name] / (count * MICRO) if count else 0.0,
            }
    return {**row, **amounts}


def amounts_of(body: dict[str, Any], *names: str) -> dict[str, Any]:
    """Return the amounts of a response body, and these other fields."""
    means = [f"avg_{name.removeprefix('total_')}" for name in TOTALS]
    return {name: body[name] for name in (*names, *SUMS, *means)}


def iso(ms: int) -> str:
    """Return epoch ms in the format of the API."""
    return datetime.fromtimestamp(ms / 1_000, UTC).isoformat().replace("+00:00", "Z")


def get_json(http: TestClient[Litestar], url: str, **query: Any) -> dict[str, Any]:  # noqa: ANN401
    """Return the body of a GET whose status is 200."""
    response = http.get(url, params=query or None)
    assert response.status_code == 200, response.text
    body: dict[str, Any] = response.json()
    return body
