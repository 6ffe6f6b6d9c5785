"""Dedupe state of one partition: the keys of the counted trips, in buckets of event time.

It is a log-structured merge tree of 64-bit keys: the cost of a lookup and of an update depends on
the size of the batch, and a bucket whose trips are all late is dropped as a whole.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

import polars as pl

KEY_SCHEMA: Final = pl.Schema({"bucket": pl.Int64, "key": pl.UInt64})

_SMALL: Final = 5_000
"""A run of up to so many keys is always merged: the call costs more than the keys."""

Runs = tuple[pl.Series, ...]
"""Sorted, distinct keys (UInt64): runs without a key in common, longer ones first."""


@dataclass(frozen=True, slots=True)
class Added:
    """The dedupe state after a batch, the keys that were known before, how many were distinct."""

    state: "DedupeState"
    known: pl.Series
    distinct: int


@dataclass(frozen=True, slots=True)
class DedupeState:
    """Keys by the start of their bucket (epoch ms). It is immutable."""

    buckets: Mapping[int, Runs] = field(default_factory=dict)

    def __len__(self) -> int:
        return sum(run.len() for runs in self.buckets.values() for run in runs)

    def add(self, keys: pl.DataFrame, first: int) -> Added:
        """Add keys (KEY_SCHEMA, without nulls); drop the buckets that start before `first`."""
        kept = {at: runs for at, runs in self.buckets.items() if at >= first}
        dropped = tuple(run for at, runs in self.buckets.items() if at < first for run in runs)
        known, distinct = keys["key"].clear(), 0
        for bucket, batch in _by_bucket(keys, first):
            runs, found = _with_batch(dropped if bucket is None else kept.get(bucket, ()), batch)
            distinct += batch.len()
            known.append(found)
            if bucket is not None:
                kept[bucket] = runs
        return Added(DedupeState(kept), known, distinct)

    def to_frame(self) -> pl.DataFrame:
        """Return all keys (KEY_SCHEMA)."""
        frames = [
            run.to_frame().select(pl.lit(bucket, pl.Int64).alias("bucket"), "key")
            for bucket, runs in self.buckets.items()
            for run in runs
        ]
        return pl.concat([pl.DataFrame(schema=KEY_SCHEMA), *frames])

    def snapshot(self) -> list[tuple[int, bytes]]:
        """Return each run as its bucket and its keys, in Arrow's IPC streaming format.

        The keys are hashes, which can't be compressed. The file format takes Polars 50 µs more for
        each run of each partition.
        """
        return [
            (bucket, run.to_frame().write_ipc_stream(None, compression="uncompressed").getvalue())
            for bucket, runs in self.buckets.items()
            for run in runs
        ]

    @classmethod
    def resume(cls, stored: Iterable[tuple[int, bytes]]) -> "DedupeState":
        """Return the state of a snapshot."""
        buckets: dict[int, Runs] = {}
        for bucket, keys in stored:
            buckets[bucket] = (*buckets.get(bucket, ()), pl.read_ipc_stream(keys)["key"])
        return cls(buckets)


def _by_bucket(keys: pl.DataFrame, first: int) -> Iterator[tuple[int | None, pl.Series]]:
    """Yield the distinct keys of each bucket, sorted; the bucket None has all before `first`.

    So a batch has few buckets, however much event time it covers.
    """
    column, key = keys["bucket"], keys["key"]
    # Usually all are of one bucket; that check is cheaper than to find the distinct buckets.
    is_one = keys.height > 0 and column.min() == column.max()
    buckets = column.head(1).to_list() if is_one else column.unique().to_list()
    kept = [bucket for bucket in buckets if bucket >= first]
    for bucket in kept:
        yield bucket, _distinct(key if is_one else key.filter(column == bucket))
    if len(kept) < len(buckets):
        yield None, _distinct(key if not kept else key.filter(column < first))


def _distinct(keys: pl.Series) -> pl.Series:
    """Return the distinct keys, sorted."""
    keys = keys.sort()
    return keys if keys.n_unique() == keys.len() else keys.unique(maintain_order=True)


def _with_batch(runs: Runs, batch: pl.Series) -> tuple[Runs, pl.Series]:
    """Return the runs with a sorted batch added, and the keys that they had before.

    The batch is merged with the last runs that are small, or at most twice as long as it.
    """
    large = len(runs)
    rows = batch.len()
    while large and runs[large - 1].len() <= max(_SMALL, 2 * rows):
        large -= 1
        rows += runs[large].len()
    known = batch.clear()
    for run in runs[:large]:
        # A binary search for sorted keys is several times as fast.
        at = run.search_sorted(batch).clip(upper_bound=run.len() - 1)
        known.append(batch.filter(run.gather(at) == batch))
    new = batch if known.is_empty() else batch.filter(~batch.is_in(known.implode()))
    for run in reversed(runs[large:]):
        both = run.to_frame().merge_sorted(new.to_frame(), "key")["key"].set_sorted()
        if both.n_unique() < both.len():
            known.append(batch.filter(batch.is_in(run.implode())))
            both = both.unique(maintain_order=True)
        new = both
    return (*runs[:large], new) if new.len() else runs[:large], known
