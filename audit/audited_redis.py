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
from audit.conversions import iso_to_ms
from audit.measures import measures_of_parts
from audit.redis_totals import MEAN, TOTALS_FIELDS, parse_totals
from audit.window_sample import ENTITY_WINDOW_KEY, SAMPLE_SCHEMA, WINDOW_FIELDS
from mobility.entities import ENTITIES, Entity
from mobility.keys import LEDGER_FIELDS, RedisKeys
from mobility.measures import STARTS, SUMS, TOTALS
from mobility.records import MICRO
from mobility.settings import Settings

_ID: Final = ["entity", "id"]
_IDS_PER_TRANSACTION: Final = 100
_SUMMARY_FIELD: Final = "totals"
_NUMBERS_OF_SUMMARY: Final = len(("trip_count", *(2 * TOTALS)))

Hash = Mapping[str, str]


@dataclass(slots=True)
class _RawContents:
    """The texts in the hashes of some ids, until frames parse them all at once.

    `with_all_windows` are the ids whose ledger has all windows that their summary sums up.
    """

    windows: list[tuple[str, ...]] = field(default_factory=list)
    totals: list[tuple[str | None, ...]] = field(default_factory=list)
    summaries: list[tuple[str | int | None, ...]] = field(default_factory=list)
    with_all_windows: set[tuple[str, str]] = field(default_factory=set)


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
        # By end time, a trip of a later window can start before a trip of an expired window.
        self._starts_are_ordered = settings.event_time == "start"

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
        windows = _parse_windows(contents.windows)
        return StoreContents(
            windows.filter(window_range.contains()),
            expected.join(windows, on=ENTITY_WINDOW_KEY, how="anti").select(ENTITY_WINDOW_KEY),
            _compare_totals(windows, contents),
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
        summary = ledger.get(_SUMMARY_FIELD, "").split(" ")
        # Earlier releases end before `renewed`, or after it.
        if len(summary) - _NUMBERS_OF_SUMMARY not in (4, 5, 7) or not totals:
            return
        count, *amounts = summary[:_NUMBERS_OF_SUMMARY]
        _, _, start, older, *more = summary[_NUMBERS_OF_SUMMARY:]
        last = more[1] if len(more) > 1 else None
        sums = [_join_amount(*pair) for pair in zip(amounts[::2], amounts[1::2], strict=True)]
        contents.summaries.append((*name, _parse_int(count), *sums, start, last))
        contents.totals.append((*name, *(totals.get(field) for field in TOTALS_FIELDS)))
        if older == "-" and self._starts_are_ordered:
            contents.with_all_windows.add(name)
        contents.windows += [
            (*name, start, window) for start, window in ledger.items() if start != _SUMMARY_FIELD
        ]

    def _client(self) -> redis.Redis:
        return redis.Redis.from_url(
            self._settings.redis,
            decode_responses=True,
            socket_connect_timeout=10,
            socket_timeout=30,
        )


def _compare_totals(windows: pl.DataFrame, contents: _RawContents) -> tuple[OutputComparison, ...]:
    """Compare the totals with the ledgers' summaries, and those with the sums of the windows."""
    summaries = _parse_summaries(contents)
    backfilled = windows.filter(pl.col("generation") > 0)
    names = pl.DataFrame(
        sorted(contents.with_all_windows),
        schema={"entity": pl.String, "id": pl.String},
        orient="row",
    ).join(backfilled, on=_ID, how="anti")
    sums = windows.group_by(_ID).agg(measures_of_parts())
    # The first release kept no latest start in its summaries.
    is_known = pl.col("last_start_time_right").is_not_null()
    known_sums = sums.join(
        summaries.select(*_ID, "last_start_time"), on=_ID, how="left"
    ).with_columns(last_start_time=pl.when(is_known).then("last_start_time"))
    return (
        compare(
            "Redis totals",
            summaries,
            parse_totals(contents.totals),
            keys=_ID,
            fields=WINDOW_FIELDS,
            means=[MEAN],
        ),
        compare(
            "Redis summaries",
            known_sums.join(names, on=_ID, how="semi"),
            summaries.join(names, on=_ID, how="semi"),
            keys=_ID,
            fields=WINDOW_FIELDS,
        ),
    )


def _parse_summaries(contents: _RawContents) -> pl.DataFrame:
    schema = pl.Schema({name: SAMPLE_SCHEMA[name] for name in (*_ID, *SUMS)})
    schema.update(dict.fromkeys(STARTS, pl.String()))
    frame = pl.DataFrame(contents.summaries, schema=schema, orient="row").with_columns(
        iso_to_ms(pl.col(name)) for name in STARTS
    )
    pairs = zip(frame["total_duration"], frame["trip_count"], strict=True)
    means = [
        None if total is None or count is None else total / (count * MICRO) if count else 0.0
        for total, count in pairs
    ]
    return frame.with_columns(pl.Series(MEAN, means, dtype=pl.Float64))


def _parse_windows(texts: list[tuple[str, ...]]) -> pl.DataFrame:
    """Parse fields of ledgers: `window_start`, and the window's values between blanks."""
    schema = dict.fromkeys(("entity", "id", "window_start", "window"), pl.String)
    frame = pl.DataFrame(texts, schema=schema, orient="row")
    values = pl.col("window").str.split(" ").list

    def value(name: str) -> pl.Expr:
        return values.get(LEDGER_FIELDS.index(name), null_on_oob=True)

    # Windows of the first release end with the pane: one start stands for both.
    last_start = pl.coalesce(value("last_start_time"), value("start_time"))
    return frame.select(
        "entity",
        "id",
        pl.col("window_start").cast(pl.Int64, strict=False),
        *(
            value(name).cast(SAMPLE_SCHEMA[name], strict=False).alias(name)
            for name in ("generation", *SUMS)
        ),
        iso_to_ms(value("start_time")).alias("start_time"),
        iso_to_ms(last_start).alias("last_start_time"),
    ).select(SAMPLE_SCHEMA.names())


def _join_amount(whole: str, millionths: str) -> int | None:
    """Return an amount in micro-units from its two parts, which Lua keeps as doubles."""
    units, rest = _parse_int(whole), _parse_int(millionths)
    return None if units is None or rest is None else units * MICRO + rest


def _parse_int(text: str) -> int | None:
    digits = text.removeprefix("-")
    return int(text) if digits.isascii() and digits.isdigit() else None
