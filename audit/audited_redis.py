"""Redis as the only store, as the audit reads it: windows and totals of some ids, or of all."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import polars as pl
import redis

from audit.audited_stores import (
    AuditedRange,
    EntityWatermarks,
    StoreContents,
    check_fingerprint,
    minimum_watermarks,
)
from audit.comparison import OutputComparison, compare
from audit.conversions import counts_or_substitutes
from audit.measures import measures_of_parts
from audit.redis_totals import MEAN, TOTALS_FIELDS, parse_totals
from audit.window_sample import ENTITY_WINDOW_KEY, SAMPLE_SCHEMA, WINDOW_FIELDS
from mobility.entities import ENTITIES, Entity
from mobility.keys import LAST_WINDOW, RedisKeys
from mobility.measures import EXTREMES, MEASURE_SCHEMA
from mobility.records import MICRO
from mobility.settings import Settings

_ID: Final = ["entity", "id"]
_IDS_PER_TRANSACTION: Final = 100

Hash = Mapping[str, str]


@dataclass(slots=True)
class _RawContents:
    """The texts in the hashes of some ids, until frames parse them all at once."""

    windows: list[tuple[str, ...]] = field(default_factory=list)
    totals: list[tuple[str | None, ...]] = field(default_factory=list)


class AuditedRedis:
    """Redis as an audited store, where ids expire, and windows some hours behind the newest.

    So an id that is absent is no difference; an id with only one of its two hashes counts as
    absent, as it does for the sinks. An id that expired starts again from zero, and none of its
    windows can be missed.
    """

    name = "Redis"

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._keys = RedisKeys.of(settings)

    def progress(self) -> EntityWatermarks:
        """Return the recorded watermarks: windows that are complete by them are in the ledgers."""
        with self._client() as client:
            fingerprint = client.hget(self._keys.meta, "fingerprint")
            text = None if fingerprint is None else str(fingerprint)
            check_fingerprint(self.name, text, self._settings)
            watermarks = {
                entity.name: [int(each) for each in client.hvals(self._keys.progress(entity))]
                for entity in ENTITIES
            }
        return minimum_watermarks(watermarks)

    def read(
        self,
        expected: pl.DataFrame,
        window_range: AuditedRange,
        entities: Sequence[Entity],
        *,
        all_ids: bool,
    ) -> StoreContents:
        """Return the ledgers' windows in a range, and whether totals are the sums of their windows.

        Totals are compared at any time, with windows that are not complete yet.
        """
        contents = _RawContents()
        with self._client() as client:
            for entity in entities:
                ids = set(expected.filter(pl.col("entity") == entity.name)["id"])
                if all_ids:
                    ids.update(client.zrange(self._keys.index(entity), 0, -1))
                for entity_id, ledger, totals in self._read_hashes(client, entity, sorted(ids)):
                    self._add(contents, (entity.name, entity_id), ledger, totals)
        ledgers = _parse_ledgers(contents.windows)
        windows = ledgers.drop_nulls("window_start")
        return StoreContents(
            windows.filter(window_range.contains()),
            expected.join(windows, on=ENTITY_WINDOW_KEY, how="anti").select(ENTITY_WINDOW_KEY),
            (_compare_totals(ledgers, parse_totals(contents.totals)),),
        )

    def _read_hashes(
        self, client: redis.Redis, entity: Entity, ids: Sequence[str]
    ) -> Iterator[tuple[str, Hash, Hash]]:
        for start in range(0, len(ids), _IDS_PER_TRANSACTION):
            part = ids[start : start + _IDS_PER_TRANSACTION]
            # In a transaction, so that the two hashes of an id match.
            pipeline = client.pipeline(transaction=True)
            for entity_id in part:
                pipeline.hgetall(self._keys.ledger(entity, entity_id))
                pipeline.hgetall(self._keys.totals(entity, entity_id))
            hashes = pipeline.execute()
            yield from zip(part, hashes[::2], hashes[1::2], strict=True)

    def _add(
        self, contents: _RawContents, name: tuple[str, str], ledger: Hash, totals: Hash
    ) -> None:
        if not ledger or not totals:
            return
        contents.totals.append((*name, *(totals.get(field) for field in TOTALS_FIELDS)))
        contents.windows += [(*name, start, window) for start, window in ledger.items()]

    def _client(self) -> redis.Redis:
        return redis.Redis.from_url(
            self._settings.redis,
            decode_responses=True,
            socket_connect_timeout=10,
            socket_timeout=30,
        )


def _compare_totals(ledgers: pl.DataFrame, totals: pl.DataFrame) -> OutputComparison:
    """Compare totals with the sums of the ledgers: of windows, and of what was removed of them."""
    # A window without trips, which a backfill can leave, counts for no minimum and no maximum.
    has_trips = pl.col("trip_count") > 0
    counted = ledgers.with_columns(pl.when(has_trips).then(name).alias(name) for name in EXTREMES)
    newest = pl.col("window_start").max().alias(LAST_WINDOW)
    sums = counted.group_by(_ID).agg(*measures_of_parts(), newest)
    return compare(
        "Redis totals",
        sums.with_columns(pl.Series(MEAN, _means(sums), dtype=pl.Float64)),
        totals,
        keys=_ID,
        fields=(*WINDOW_FIELDS, LAST_WINDOW),
        means=[MEAN],
    )


def _means(sums: pl.DataFrame) -> list[float | None]:
    pairs = zip(sums["total_duration"], sums["trip_count"], strict=True)
    return [
        None if total is None or count is None else total / (count * MICRO) if count else 0.0
        for total, count in pairs
    ]


def _parse_ledgers(texts: list[tuple[str, ...]]) -> pl.DataFrame:
    """Parse ledgers (SAMPLE_SCHEMA); a start is null for what was removed of one."""
    schema = dict.fromkeys(("entity", "id", "window_start", "window"), pl.String)
    frame = pl.DataFrame(texts, schema=schema, orient="row")
    values = pl.Struct({name: SAMPLE_SCHEMA[name] for name in ("generation", *MEASURE_SCHEMA)})
    return (
        frame.with_columns(
            pl.col("window_start").cast(pl.Int64, strict=False),
            frame["window"].str.json_decode(values),
        )
        .unnest("window")
        .with_columns(counts_or_substitutes())
        .select(SAMPLE_SCHEMA.names())
    )
