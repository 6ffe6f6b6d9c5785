"""The contract by which the audit reads a store, and how complete stores and topics are."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

import polars as pl

from audit.comparison import OutputComparison
from audit.window_sample import ENTITY_WINDOW_KEY, SAMPLE_SCHEMA
from mobility.entities import ENTITIES, Entity
from mobility.settings import Settings

EntityWatermarks = Mapping[str, int]
"""For each entity the watermark (epoch ms) up to which a store or topic is complete.

An entity without one is left out.
"""


class FingerprintError(ValueError):
    """A store that was filled under settings that give other results."""


NO_WINDOWS: Final = pl.DataFrame(schema=SAMPLE_SCHEMA)


@dataclass(frozen=True, slots=True)
class AuditedRange:
    """Windows that start from `first` to `last` (epoch ms), both included."""

    first: int
    last: int

    def contains(self) -> pl.Expr:
        """Return the condition for rows with `window_start`."""
        return pl.col("window_start").is_between(self.first, self.last)


@dataclass(frozen=True, slots=True)
class StoreContents:
    """What a store holds: its windows, and whether its totals are the sums of its windows.

    `expired` are windows (ENTITY_WINDOW_KEY) that the log has and that the store may have expired.
    """

    windows: pl.DataFrame
    expired: pl.DataFrame = field(default_factory=lambda: NO_WINDOWS.select(ENTITY_WINDOW_KEY))
    totals: tuple[OutputComparison, ...] = ()


class AuditedStore(Protocol):
    """A store that can be read at any time, also while the flow writes to it."""

    name: str

    def progress(self) -> EntityWatermarks:
        """Return the recorded watermarks; raise FingerprintError if the settings are others."""
        ...

    def read(
        self,
        expected: pl.DataFrame,
        window_range: AuditedRange,
        entities: Sequence[Entity],
        *,
        all_ids: bool,
    ) -> StoreContents:
        """Return what the store holds of the ids of the expected windows, or of every id."""
        ...


def check_fingerprint(store: str, fingerprint: str | None, settings: Settings) -> None:
    """Raise FingerprintError if a store has another fingerprint than these settings."""
    if fingerprint not in {None, settings.fingerprint}:
        msg = (
            f"{store} was filled with fingerprint {fingerprint}, these settings have "
            f"{settings.fingerprint}: every window would differ.\n  here: {settings.answers}\n"
            "Run the audit with the MOBILITY_* settings of the flow."
        )
        raise FingerprintError(msg)


def minimum_watermarks(watermarks: Mapping[str, list[int]]) -> EntityWatermarks:
    """Return the minimum over the shards of each entity."""
    return {entity: min(shards) for entity, shards in watermarks.items() if shards}


def delivered_watermarks(settings: Settings) -> EntityWatermarks:
    """Return up to where `aggregated.*` is delivered, by the flow's files in MOBILITY_STATUS_DIR.

    A process reports a watermark only after the broker has acknowledged everything up to it, so it
    stays valid. Without the folder nothing is known.
    """
    if settings.status_dir is None:
        return {}
    watermarks: dict[str, dict[str, int]] = {entity.name: {} for entity in ENTITIES}
    for path in sorted(Path(settings.status_dir).glob("flow-*.json")):
        for entity, shards in json.loads(path.read_bytes()).get("delivered", {}).items():
            for shard, watermark in shards.items():
                known = watermarks[entity].get(shard, watermark)
                watermarks[entity][shard] = max(watermark, known)
    complete = {
        entity: list(shards.values())
        for entity, shards in watermarks.items()
        if len(shards) == settings.shards
    }
    return minimum_watermarks(complete)
