"""Where windows are kept, as the audit asks for them: one contract for every place."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

import polars as pl

from audit.differences import Comparison
from audit.sample import KEY, SUMS_SCHEMA
from mobility.entities import ENTITIES, Entity
from mobility.settings import Settings

Progress = Mapping[str, int]
"""For each entity the event time (epoch ms) up to which a place has every window in its last form.

An entity that is missing has not spoken yet.
"""


class OtherSettingsError(ValueError):
    """A place that was filled under settings that give other answers."""


NO_WINDOWS: Final = pl.DataFrame(schema=SUMS_SCHEMA)


@dataclass(frozen=True, slots=True)
class Span:
    """Windows that start from `first` to `last` (epoch ms), both included."""

    first: int
    last: int

    def windows(self) -> pl.Expr:
        """Return the condition for rows with `window_start`."""
        return pl.col("window_start").is_between(self.first, self.last)


@dataclass(frozen=True, slots=True)
class Held:
    """What a place has: its windows, what it need not have any more, and how its totals add up.

    `excused` are windows (KEY) that are expected of it by the log, and that it may have forgotten.
    """

    windows: pl.DataFrame
    excused: pl.DataFrame = field(default_factory=lambda: NO_WINDOWS.select(KEY))
    totals: tuple[Comparison, ...] = ()


class Place(Protocol):
    """A place that can be asked at any time, also while it is written to."""

    name: str

    def progress(self) -> Progress:
        """Return how far the place has got; raise OtherSettingsError where it is not ours."""
        ...

    def held(
        self, expected: pl.DataFrame, span: Span, entities: Sequence[Entity], *, everything: bool
    ) -> Held:
        """Return what the place has of the ids of the expected windows (KEY), or of every id."""
        ...


def refuse_others(place: str, held: str | None, settings: Settings) -> None:
    """Raise OtherSettingsError where a place has another fingerprint than these settings."""
    if held not in {None, settings.fingerprint}:
        msg = (
            f"{place} was filled with fingerprint {held}, these settings have "
            f"{settings.fingerprint}: every window would differ.\n  here: {settings.answers}\n"
            "Audit with the MOBILITY_* settings of the flow."
        )
        raise OtherSettingsError(msg)


def slowest(marks: Mapping[str, list[int]]) -> Progress:
    """Return the minimum of each entity's shards."""
    return {entity: min(shards) for entity, shards in marks.items() if shards}


def delivered(settings: Settings) -> Progress:
    """Return how far `aggregated.*` has got, by what the flow says in MOBILITY_STATUS_DIR.

    A process says so only once the broker has acknowledged everything up to there, so it stays
    true. Without the folder nobody knows.
    """
    if settings.status_dir is None:
        return {}
    marks: dict[str, dict[str, int]] = {entity.name: {} for entity in ENTITIES}
    for path in sorted(Path(settings.status_dir).glob("flow-*.json")):
        for entity, reached in json.loads(path.read_bytes()).get("delivered", {}).items():
            for shard, watermark in reached.items():
                marks[entity][shard] = max(watermark, marks[entity].get(shard, watermark))
    return slowest(
        {name: list(held.values()) for name, held in marks.items() if len(held) == settings.shards}
    )
