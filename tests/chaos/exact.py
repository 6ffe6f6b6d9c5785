"""What is asked after every fault: that all is what a batch computation over the log says.

The oracle and the readers of topics and stores are the audit's, which share nothing with the flow.
"""

from collections.abc import Iterator

from audit import comparing, stores, topics
from audit.differences import Comparison, compare
from audit.log import read_topic
from audit.oracle import Answer, Log, answer, read_log
from audit.verdicts import Message
from mobility.records import STARTS, TOTALS
from mobility.settings import Settings
from mobility.topics import dead_topic, late_topic, trips_topic
from tests.chaos.feed import Feed, Prints
from tests.chaos.ledger import redis_windows


def assert_exact(settings: Settings, feed: Feed | None = None, log: Log | None = None) -> Answer:
    """Assert that every place holds the batch answer, and the log what the feed sent.

    The flow must have read the log to its end. Places: the highest versions in `aggregated.*`,
    windows and totals in each store of the settings, `trips_late` and `trips_dlq` by position.
    With a `log` that is what must have been counted, where the topic does not hold it any more.
    Returns the answer, for what else a test wants to say of it.
    """
    now, prints = _log(settings)
    log = now if log is None else log
    if feed is not None:
        assert prints == feed.prints, "the log is not what was sent"
    expected = answer(log, settings)
    assert expected.windows.height, "an empty log proves nothing"
    _assert_equal([*_letters(settings, log, expected), *_windows(settings, expected)])
    return expected


def assert_windows(settings: Settings, expected: Answer) -> None:
    """Assert that topics and stores hold the windows and totals of an answer."""
    _assert_equal([*_windows(settings, expected)])


def _log(settings: Settings) -> tuple[Log, Prints]:
    prints = Prints()

    def watched() -> Iterator[list[Message]]:
        for batch in read_topic(settings.kafka, trips_topic(settings)):
            for message in batch:
                prints.add(message.partition, message.value)
            yield batch

    return read_log(watched(), settings), prints


def _assert_equal(compared: list[Comparison]) -> None:
    wrong = [each for each in compared if each.differences]
    assert not wrong, "\n".join(line for each in wrong for line in _described(each))


def _letters(settings: Settings, log: Log, expected: Answer) -> Iterator[Comparison]:
    late = topics.read_positions(settings, late_topic(settings))
    yield comparing.late_trips(expected, late, settings)
    dead = topics.read_positions(settings, dead_topic(settings))
    yield comparing.dead_letters(expected, log, dead, settings)


def _windows(settings: Settings, expected: Answer) -> Iterator[Comparison]:
    windows = topics.read_windows(settings, lambda _: None)
    yield comparing.windows_at("aggregated topics", expected, windows)
    if "postgres" in settings.stores:
        windows = stores.postgres_windows(settings)
        yield comparing.windows_at("Postgres windows", expected, windows)
        yield comparing.totals_at("Postgres totals", expected, stores.postgres_totals(settings))
    if "redis" in settings.stores:
        yield compare(
            "Redis ledger",
            expected.windows,
            redis_windows(settings),
            keys=("entity", "id", "window_start"),
            fields=("trip_count", *TOTALS, *STARTS),
        )
        yield comparing.totals_at("Redis totals", expected, stores.redis_totals(settings))
        yield comparing.indexed(expected, stores.redis_index(settings))


def _described(comparison: Comparison) -> Iterator[str]:
    kinds = ", ".join(f"{count} {kind}" for kind, count in comparison.counts.items() if count)
    yield f"{comparison.place}: {kinds} (of {comparison.expected})"
    for example in comparison.examples:
        yield f"  {example.kind} {example.key}: {example.expected} | {example.found}"
