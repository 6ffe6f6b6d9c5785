"""The comparison of everything that the flow writes with the oracle, in one call."""

from collections.abc import Iterator

from audit import output_comparisons, stores, topics
from audit.comparison import Comparison
from audit.oracle import OracleResult, ValidatedLog
from mobility.settings import Settings
from mobility.topics import dead_topic, late_topic


def compare_system(
    settings: Settings, log: ValidatedLog, expected: OracleResult
) -> Iterator[Comparison]:
    """Read topics and the stores of the settings, and compare them with the oracle's result."""
    late = topics.read_source_positions(settings, late_topic(settings))
    yield output_comparisons.compare_late_trips(expected, late, settings)
    dead = topics.read_source_positions(settings, dead_topic(settings))
    yield output_comparisons.compare_dead_letters(expected, log, dead, settings)
    yield from compare_windows_and_totals(settings, expected)


def compare_windows_and_totals(settings: Settings, expected: OracleResult) -> Iterator[Comparison]:
    """Read the windows in topics and stores, and the totals in stores, and compare them."""
    windows = topics.read_windows(settings, lambda _topic: None)
    yield output_comparisons.compare_windows("aggregated topics", expected, windows)
    if "postgres" in settings.stores:
        windows = stores.read_postgres_windows(settings)
        yield output_comparisons.compare_windows("Postgres windows", expected, windows)
        totals = stores.read_postgres_totals(settings)
        yield output_comparisons.compare_totals("Postgres totals", expected, totals)
    if "redis" in settings.stores:
        totals = stores.read_redis_totals(settings)
        yield output_comparisons.compare_totals("Redis totals", expected, totals)
        index = stores.read_redis_index(settings)
        yield output_comparisons.compare_redis_index(expected, index)
