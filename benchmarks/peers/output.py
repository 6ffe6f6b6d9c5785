"""The windows that a peer wrote, compared with the batch computation."""

from collections.abc import Sequence

import polars as pl
import psycopg

from audit.log_messages import read_log_messages
from audit.oracle import OracleResult
from mobility.measures import TOTALS
from mobility.records import MICRO
from mobility.settings import Settings

_KEYS = ("entity", "id", "window_start")
_FIELDS = pl.Schema(
    {
        "entity_id": pl.String,
        "window_start": pl.String,
        "trip_count": pl.Int64,
        **dict.fromkeys(TOTALS, pl.Float64),
    }
)


def read_windows(settings: Settings, prefix: str, entities: Sequence[str]) -> pl.DataFrame:
    """Return the windows in `<prefix><entity>`: entity, id, window_start (epoch ms), sums."""
    frames = [decode([], entity) for entity in entities]
    for entity in entities:
        for batch in read_log_messages(settings, prefix + entity):
            values = [message.value for message in batch if message.value is not None]
            frames.append(decode(values, entity))
    return keep_last_updates(pl.concat(frames))


def read_stored_windows(settings: Settings) -> pl.DataFrame:
    """Return the same of the table `windows` in Postgres."""
    names = [*_KEYS, "trip_count", *TOTALS]
    query = f"SELECT {', '.join(names)} FROM windows"  # noqa: S608 - names of ours
    with psycopg.connect(settings.postgres) as connection:
        rows = connection.execute(query).fetchall()
    found = pl.DataFrame(rows, names, orient="row")
    return found.with_columns(pl.col("window_start").dt.epoch("ms"))


def decode(values: list[bytes], entity: str) -> pl.DataFrame:
    """Decode a peer's messages: ISO 8601 times in UTC with `T` or a blank, totals as doubles."""
    texts = pl.Series("text", values, dtype=pl.Binary).cast(pl.String)
    frame = texts.str.json_decode(pl.Struct(_FIELDS)).struct.unnest()
    window_start = (
        pl.col("window_start")
        .str.slice(0, 19)
        .str.replace(" ", "T", literal=True)
        .str.to_datetime("%Y-%m-%dT%H:%M:%S", time_unit="ms", strict=False)
    )
    return frame.select(
        pl.lit(entity).alias("entity"),
        pl.col("entity_id").alias("id"),
        window_start.dt.epoch("ms").alias("window_start"),
        "trip_count",
        *TOTALS,
    )


def keep_last_updates(windows: pl.DataFrame) -> pl.DataFrame:
    """Return each window once: a trip count only grows, so the highest one is the last update."""
    ordered = windows.sort("trip_count", maintain_order=True)
    return ordered.unique(_KEYS, keep="last", maintain_order=True)


def describe(result: OracleResult, found: pl.DataFrame, entities: Sequence[str]) -> str:
    """Return as text whether windows equal the oracle's, and otherwise how many differ.

    Peers add doubles, so their totals may differ by one micro-unit per trip.
    """
    expected = result.windows.filter(pl.col("entity").is_in(entities))
    both = expected.join(found, on=_KEYS, how="full", suffix=" found", coalesce=True)
    same = pl.col("trip_count") == pl.col("trip_count found")
    for name in TOTALS:
        off = (pl.col(name) - pl.col(f"{name} found") * MICRO).abs()
        same &= off <= pl.col("trip_count")
    differing = both.height - both.filter(same).height
    if not differing:
        return f"equal: {expected.height:,} windows"
    total = int(expected["trip_count"].sum())
    missing = total - int(found["trip_count"].sum())
    return (
        f"differs: {differing:,} of {expected.height:,} windows; "
        f"{missing:,} trips ({missing / total:.1%}) not counted"
    )
