"""Assertions after every fault: all outputs equal the batch computation over the log.

The oracle and the readers of topics and stores are the audit's, which share no code with the flow.
"""

from collections.abc import Iterator

from audit.comparison import OutputComparison
from audit.follower_lag import lagging_entities
from audit.log_messages import read_log_messages
from audit.oracle import OracleResult, ValidatedLog, run_oracle, validate_log
from audit.rules_in_force import read_rules_in_force
from audit.system_comparison import compare_system, compare_windows_and_totals
from audit.validation import LogMessage
from mobility.settings import Settings
from mobility.topics import trips_topic
from tests.chaos.steady_producer import LogDigest, SteadyProducer
from tests.waiting import until


def assert_exact(
    settings: Settings, producer: SteadyProducer | None = None, log: ValidatedLog | None = None
) -> OracleResult:
    """Assert that all outputs equal the oracle's result, and the log what the producer sent.

    The flow must have read the log to its end. Outputs are the highest versions in `aggregated.*`,
    windows and totals in Postgres, the totals that Redis has, the windows in Delta Lake where the
    flow writes there, `trips_late` and `trips_dlq` by position. A `log` is given if the topic does
    not hold all counted messages any more. With a `recovery_dir` each offset is judged by the
    tables that were in force there. Returns the oracle's result.
    """
    now, digest = _log(settings)
    log = now if log is None else log
    if producer is not None:
        assert digest == producer.digest, "the log is not what was sent"
    expected = run_oracle(log, settings, read_rules_in_force(settings))
    assert expected.windows.height, "an empty log proves nothing"
    _assert_followed(settings)
    _assert_equal([*compare_system(settings, log, expected)])
    return expected


def assert_windows(settings: Settings, expected: OracleResult) -> None:
    """Assert that topics and stores hold the expected windows and totals."""
    _assert_followed(settings)
    _assert_equal([*compare_windows_and_totals(settings, expected)])


def _log(settings: Settings) -> tuple[ValidatedLog, LogDigest]:
    digest = LogDigest()

    def watched() -> Iterator[list[LogMessage]]:
        for batch in read_log_messages(settings, trips_topic(settings)):
            for message in batch:
                digest.add(message.partition, message.value)
            yield batch

    return validate_log(watched(), settings, read_rules_in_force(settings)), digest


def _assert_equal(compared: list[OutputComparison]) -> None:
    wrong = [each for each in compared if each.differences]
    assert not wrong, "\n".join(line for each in wrong for line in _describe(each))


def _assert_followed(settings: Settings) -> None:
    """Assert that Redis has all that Postgres has, but for ids that it has lost."""
    if settings.is_followed:
        until(lambda: not lagging_entities(settings), "Redis to follow Postgres")


def _describe(comparison: OutputComparison) -> Iterator[str]:
    kinds = ", ".join(f"{count} {kind}" for kind, count in comparison.counts.items() if count)
    yield f"{comparison.output}: {kinds} (of {comparison.expected})"
    for example in comparison.examples:
        yield f"  {example.kind} {example.key}: {example.expected} | {example.found}"
