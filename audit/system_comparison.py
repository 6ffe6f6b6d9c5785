"""The comparison of everything that the flow writes with the oracle, in one call."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Final, Protocol

import polars as pl

from audit import output_comparisons, stores, topics
from audit.command_runner import ShowProgress
from audit.comparison import OutputComparison
from audit.delta_windows import read_delta
from audit.follower_lag import lagging_entities
from audit.oracle import OracleResult, ValidatedLog
from mobility.entities import ENTITIES
from mobility.settings import Settings, Store
from mobility.topics import dead_topic, late_topic

Step = Callable[[str], AbstractContextManager[ShowProgress]]
"""Returns the context in which a step with this title runs, as `CommandRunner.step` does."""


class OnRead(Protocol):
    """Called with what a store or the topics hold."""

    def __call__(
        self,
        store: str,
        *,
        totals: pl.DataFrame | None = None,
        windows: pl.DataFrame | None = None,
    ) -> None:
        """Take the totals, the windows or both."""


def _without_title(_title: str) -> AbstractContextManager[ShowProgress]:
    return nullcontext(lambda _text: None)


def _ignore(
    store: str, *, totals: pl.DataFrame | None = None, windows: pl.DataFrame | None = None
) -> None:
    del store, totals, windows


def compare_system(
    settings: Settings,
    log: ValidatedLog,
    expected: OracleResult,
    *,
    step: Step = _without_title,
    on_read: OnRead = _ignore,
) -> Iterator[OutputComparison]:
    """Read topics and the stores of the settings, and compare them with the oracle's result."""
    with step("compare: late trips and dead letters"):
        late = topics.read_source_positions(settings, late_topic(settings))
        yield output_comparisons.compare_late_trips(expected, late, settings)
        dead = topics.read_source_positions(settings, dead_topic(settings))
        yield output_comparisons.compare_dead_letters(expected, log, dead, settings)
    yield from compare_windows_and_totals(settings, expected, step=step, on_read=on_read)


def compare_windows_and_totals(
    settings: Settings,
    expected: OracleResult,
    *,
    step: Step = _without_title,
    on_read: OnRead = _ignore,
) -> Iterator[OutputComparison]:
    """Read the windows in topics and stores, and the totals in stores, and compare them."""
    with step("compare: aggregated topics") as show_progress:
        windows = topics.read_windows(settings, show_progress)
        yield output_comparisons.compare_windows(
            "aggregated topics", expected, windows, sketches=settings.measures
        )
    on_read("kafka", windows=windows)
    for store, (title, compare) in _COMPARISONS.items():
        if store in settings.stores:
            with step(f"compare: {title}"):
                yield from compare(settings, expected, on_read)


def _compare_postgres(
    settings: Settings, expected: OracleResult, on_read: OnRead
) -> Iterator[OutputComparison]:
    windows = stores.read_postgres_windows(settings)
    yield output_comparisons.compare_windows(
        "Postgres windows", expected, windows, sketches=settings.measures
    )
    totals = stores.read_postgres_totals(settings)
    yield output_comparisons.compare_totals("Postgres totals", expected, totals)
    on_read("postgres", totals=totals, windows=windows)


def _compare_delta(
    settings: Settings, expected: OracleResult, on_read: OnRead
) -> Iterator[OutputComparison]:
    """Compare Delta Lake, which has windows only, without means."""
    windows = pl.concat(read_delta(settings, entity) for entity in ENTITIES)
    windows = windows.with_columns(window_end=pl.col("window_start") + settings.window_ms)
    yield output_comparisons.compare_windows("Delta windows", expected, windows, means=())
    on_read("delta", windows=windows)


def _compare_redis(
    settings: Settings, expected: OracleResult, on_read: OnRead
) -> Iterator[OutputComparison]:
    """Compare Redis; beside Postgres, which it follows, it has totals only."""
    is_follower = settings.is_followed
    behind = lagging_entities(settings) if is_follower else ()
    totals = stores.read_redis_totals(settings)
    if is_follower:
        yield output_comparisons.compare_follower_totals(expected, totals, behind)
    else:
        yield output_comparisons.compare_totals("Redis totals", expected, totals)
        index = stores.read_redis_index(settings)
        yield output_comparisons.compare_redis_index(expected, index)
    on_read("redis", totals=totals)


Compare = Callable[[Settings, OracleResult, OnRead], Iterator[OutputComparison]]

_COMPARISONS: Final[Mapping[Store, tuple[str, Compare]]] = {
    "postgres": ("Postgres", _compare_postgres),
    "redis": ("Redis", _compare_redis),
    "delta": ("Delta Lake", _compare_delta),
}
"""What each store is called, and how what it holds is compared."""
