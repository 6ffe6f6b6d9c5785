"""The fast store, asked for the windows and the totals of some ids."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import polars as pl
import redis

from audit.decimals import epoch_ms, micro
from audit.differences import Comparison, compare
from audit.places import Held, Progress, Span, refuse_others, slowest
from audit.sample import KEY, SUMS_SCHEMA
from mobility.entities import ENTITIES, Entity
from mobility.keys import RedisKeys
from mobility.records import MICRO, STARTS, TOTALS
from mobility.settings import Settings

_SUMS: Final = ("trip_count", *TOTALS)
_TOTALS: Final = (*_SUMS, *STARTS)
_IDS: Final = 100
_SUMMARY: Final = "totals"
_TEXTS: Final = {**dict.fromkeys(("entity", "id", *_TOTALS), pl.String)}
_MADE_WHOLE: Final = len(("trip_count", *(2 * TOTALS)))

Hash = Mapping[str, str]


@dataclass(slots=True)
class _Found:
    """What the hashes of some ids say: texts, until a frame reads them all at once."""

    windows: list[tuple[str, ...]] = field(default_factory=list)
    newest: list[tuple[str, str, float]] = field(default_factory=list)
    totals: list[tuple[str | None, ...]] = field(default_factory=list)
    summaries: list[tuple[str | int | None, ...]] = field(default_factory=list)
    whole: set[tuple[str, str]] = field(default_factory=set)


class RedisLedger:
    """A place that forgets: ids without news for a day, and windows two days behind the newest.

    So an id that is absent is excused, as Redis itself has it: one of its two hashes without the
    other counts as absent too. Where Redis is the only store, an id that has come back begins anew,
    and no window can be missed in it.
    """

    name = "Redis"

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._keys = RedisKeys.of(settings)
        self._retention = settings.redis_ledger_hours * 3_600_000
        self._alone = "postgres" not in settings.stores
        # By their end, a later window can hold an earlier start than those that were forgotten.
        self._starts_in_order = settings.event_time == "start"

    def progress(self) -> Progress:
        """Return the recorded watermarks: what is complete below them is in the ledgers."""
        with self._client() as client:
            held = client.hget(self._keys.meta, "fingerprint")
            refuse_others(self.name, None if held is None else str(held), self._settings)
            marks = {e.name: client.hvals(self._keys.progress(e)) for e in ENTITIES}
        return slowest({entity: [int(mark) for mark in held] for entity, held in marks.items()})

    def held(
        self, expected: pl.DataFrame, span: Span, entities: Sequence[Entity], *, everything: bool
    ) -> Held:
        """Return the ledgers' windows in a span, and whether totals are the sums of their windows.

        That holds at any moment, so what is not complete yet takes part in it.
        """
        found = _Found()
        with self._client() as client:
            for entity in entities:
                ids = set(expected.filter(pl.col("entity") == entity.name)["id"])
                if everything:
                    ids.update(client.zrange(self._keys.index(entity), 0, -1))
                for entity_id, ledger, totals in self._hashes(client, entity, sorted(ids)):
                    self._note(found, (entity.name, entity_id), ledger, totals)
        windows = _windows(found.windows)
        return Held(
            windows.filter(span.windows()),
            self._excused(expected, windows, found),
            self._totals(windows, found),
        )

    def _hashes(
        self, client: redis.Redis, entity: Entity, ids: Sequence[str]
    ) -> Iterator[tuple[str, Hash, Hash]]:
        for start in range(0, len(ids), _IDS):
            part = ids[start : start + _IDS]
            # A transaction sees one moment: the two hashes of an id belong together.
            pipeline = client.pipeline(transaction=True)
            for entity_id in part:
                pipeline.hgetall(self._keys.ledger(entity, entity_id))
                pipeline.hgetall(self._keys.totals(entity, entity_id))
            hashes = pipeline.execute()
            yield from zip(part, hashes[::2], hashes[1::2], strict=True)

    def _note(self, found: _Found, name: tuple[str, str], ledger: Hash, totals: Hash) -> None:
        summary = ledger.get(_SUMMARY, "").split(" ")
        # Earlier ones end before when the id was given its time to live, or after it.
        if len(summary) - _MADE_WHOLE not in (4, 5, 7) or not totals:
            return
        count, *amounts = summary[:_MADE_WHOLE]
        _, newest, start, older, *more = summary[_MADE_WHOLE:]
        last = more[1] if len(more) > 1 else None
        sums = [_joined(*pair) for pair in zip(amounts[::2], amounts[1::2], strict=True)]
        found.newest.append((*name, float(newest)))
        found.summaries.append((*name, _number(count), *sums, start, last))
        found.totals.append((*name, *(totals.get(field) for field in _TOTALS)))
        if older == "-" and self._starts_in_order:
            found.whole.add(name)
        found.windows += [
            (*name, start, window) for start, window in ledger.items() if start != _SUMMARY
        ]

    def _excused(
        self, expected: pl.DataFrame, windows: pl.DataFrame, found: _Found
    ) -> pl.DataFrame:
        if self._alone:
            return expected.join(windows, on=KEY, how="anti").select(KEY)
        schema = {"entity": pl.String, "id": pl.String, "newest": pl.Float64}
        newest = pl.DataFrame(found.newest, schema=schema, orient="row")
        reach = expected.join(newest, on=["entity", "id"], how="left")
        forgotten = pl.col("window_start") < pl.col("newest") - self._retention
        return reach.filter(forgotten.fill_null(value=True)).select(KEY)

    def _totals(self, windows: pl.DataFrame, found: _Found) -> tuple[Comparison, ...]:
        """Compare the totals with the ledger's summary, and that with what it sums up."""
        schema = {"entity": pl.String, "id": pl.String, **dict.fromkeys(_SUMS, pl.Int64)}
        summaries = pl.DataFrame(
            found.summaries, schema={**schema, **dict.fromkeys(STARTS, pl.String)}, orient="row"
        ).with_columns(epoch_ms(pl.col(name)) for name in STARTS)
        totals = pl.DataFrame(found.totals, schema=_TEXTS, orient="row").with_columns(
            pl.col("trip_count").cast(pl.Int64, strict=False),
            *(micro(pl.col(name)).alias(name) for name in TOTALS),
            *(epoch_ms(pl.col(name)) for name in STARTS),
        )
        names = pl.DataFrame(
            sorted(found.whole), schema={"entity": pl.String, "id": pl.String}, orient="row"
        )
        on = ["entity", "id"]
        amended = windows.filter(pl.col("generation") > 0)
        names = names.join(amended, on=on, how="anti")
        added = windows.group_by(on).agg(pl.col(*_SUMS).sum())
        return (
            compare("Redis totals", summaries, totals, keys=on, fields=_TOTALS),
            compare(
                "Redis summaries",
                added.join(names, on=on, how="semi"),
                summaries.join(names, on=on, how="semi"),
                keys=on,
                fields=_SUMS,
            ),
        )

    def _client(self) -> redis.Redis:
        return redis.Redis.from_url(
            self._settings.redis,
            decode_responses=True,
            socket_connect_timeout=10,
            socket_timeout=30,
        )


def _windows(texts: list[tuple[str, ...]]) -> pl.DataFrame:
    """Read fields of ledgers, `window_start`, and values, a window's numbers between blanks."""
    schema = dict.fromkeys(("entity", "id", "window_start", "window"), pl.String)
    frame = pl.DataFrame(texts, schema=schema, orient="row")
    parts = pl.col("window").str.split(" ").list
    names = ("generation", *_SUMS)
    return frame.select(
        "entity",
        "id",
        pl.col("window_start").cast(pl.Int64, strict=False),
        *(
            parts.get(at, null_on_oob=True).cast(pl.Int64, strict=False).alias(name)
            for at, name in enumerate(names)
        ),
        epoch_ms(parts.get(len(names), null_on_oob=True)).alias("start_time"),
    ).select(SUMS_SCHEMA.names())


def _joined(whole: str, millionths: str) -> int | None:
    """Return an amount in micro-units from its two halves, which Lua keeps as doubles."""
    units, rest = _number(whole), _number(millionths)
    return None if units is None or rest is None else units * MICRO + rest


def _number(text: str) -> int | None:
    digits = text.removeprefix("-")
    return int(text) if digits.isascii() and digits.isdigit() else None
