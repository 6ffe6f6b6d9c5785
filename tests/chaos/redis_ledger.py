"""The windows in Redis, read from its ledgers."""

from datetime import datetime, timedelta
from typing import Final

import polars as pl
import redis

from mobility.entities import ENTITIES
from mobility.keys import RedisKeys
from mobility.measures import STARTS, TOTALS
from mobility.settings import Settings

_MS: Final = timedelta(milliseconds=1)
_EPOCH: Final = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
_CHUNK: Final = 1_000
_SCHEMA: Final = pl.Schema(
    {
        "entity": pl.String,
        "id": pl.String,
        "window_start": pl.Int64,
        "trip_count": pl.Int64,
        **dict.fromkeys(TOTALS, pl.Int128),
        **dict.fromkeys(STARTS, pl.Int64),
    }
)


def redis_windows(settings: Settings) -> pl.DataFrame:
    """Return the windows in all `ledger:<entity>:<id>`: the oracle's columns, without means."""
    keys = RedisKeys.of(settings)
    rows: list[tuple[object, ...]] = []
    with redis.Redis.from_url(settings.redis, decode_responses=True) as client:
        for entity in ENTITIES:
            start = keys.ledger(entity, "")
            names = sorted(set(client.scan_iter(match=f"{start}*", count=_CHUNK)))
            for at in range(0, len(names), _CHUNK):
                chunk = names[at : at + _CHUNK]
                pipeline = client.pipeline(transaction=False)
                for name in chunk:
                    pipeline.hgetall(name)
                for name, held in zip(chunk, pipeline.execute(), strict=True):
                    rows += [
                        (entity.name, name.removeprefix(start), int(field), *_window(text))
                        for field, text in held.items()
                        if field != "totals"
                    ]
    return pl.DataFrame(rows, schema=_SCHEMA, orient="row")


def _window(text: str) -> tuple[int, ...]:
    _generation, count, duration, distance, revenue, start, _pane, last = text.split(" ")
    moments = (datetime.fromisoformat(each) - _EPOCH for each in (start, last))
    starts = (moment // _MS for moment in moments)
    return int(count), int(duration), int(distance), int(revenue), *starts
