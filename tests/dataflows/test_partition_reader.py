"""Fetching a batch ahead: the same batches in the same order, and none at the end of the log."""

from concurrent.futures import Executor, Future
from datetime import datetime
from typing import Any, cast

import pytest
from confluent_kafka import Message

from broker.errors import BrokerError
from dataflows.partition_reader import Fetcher, PartitionReader, offset_of
from dataflows.rules import Rules
from mobility.enrichment import Tables
from mobility.validation import TripRules
from mobility.values import JSON
from tests.dataflows.doubles import FakeMessage
from tests.dataflows.test_ingest import trip
from tests.strategies import NOON


class ManualExecutor(Executor):
    """An executor that runs its jobs when the test calls `work`."""

    def __init__(self) -> None:
        self.jobs: list[tuple[Future[Any], Any]] = []

    def submit(self, fn: Any, /, *_args: Any, **_kwargs: Any) -> Future[Any]:  # noqa: ANN401 - as Executor's
        """Queue a job."""
        future: Future[Any] = Future()
        self.jobs.append((future, fn))
        return future

    def work(self) -> None:
        """Run the queued jobs."""
        while self.jobs:
            future, job = self.jobs.pop(0)
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(job())
                except BrokerError as error:
                    future.set_exception(error)


class FakeReader:
    """A reader of these batches; it is behind until the last one."""

    def __init__(self, batches: list[list[Message]]) -> None:
        self.batches = batches
        self.position = 0
        self.polls = 0
        self.closed = False
        self.is_finished = False
        self.is_end_confirmed = False
        self.fails = False

    @property
    def lag(self) -> int:
        """The number of messages that are left."""
        return sum(map(len, self.batches))

    @property
    def is_behind(self) -> bool:
        """Whether any are left."""
        return self.lag > 0

    def poll(self) -> list[Message]:
        """Return the next batch."""
        self.polls += 1
        if self.fails:
            msg = "gone"
            raise BrokerError(msg)
        messages = self.batches.pop(0) if self.batches else []
        self.position = offset_of(messages[-1]) + 1 if messages else self.position
        return messages

    def next_poll(self) -> datetime | None:
        """Return a time; these tests do not use it."""
        return None

    def close(self) -> None:
        """Record the call."""
        self.closed = True


def fetching(*values: list[bytes]) -> tuple[Fetcher, FakeReader, ManualExecutor]:
    """Return a fetcher of these batches."""
    batches = [[cast("Message", FakeMessage(value, 0)) for value in batch] for batch in values]
    reader, executor = FakeReader(batches), ManualExecutor()
    rules = [Rules(0, TripRules(), Tables())]
    return Fetcher(cast("PartitionReader", reader), rules, JSON, executor), reader, executor


def test_batches_are_in_order_each_with_the_lag_after_it() -> None:
    """While the reader is behind, one batch is fetched ahead, and never more."""
    fetcher, reader, executor = fetching([trip(NOON)] * 3, [trip(NOON), b"{"], [trip(NOON)])
    seen = []
    for _ in range(3):
        fetched = fetcher.fetch()
        assert len(executor.jobs) <= 1
        executor.work()
        shape = (fetched.decoded.trips.height, fetched.decoded.rejected.height)
        seen.append((len(fetched.messages), *shape, fetched.lag, fetched.is_behind))
    assert seen == [(3, 3, 0, 3, True), (2, 1, 1, 1, True), (1, 1, 0, 0, False)]
    assert reader.polls == 3


def test_at_the_end_of_the_log_nothing_is_fetched_ahead() -> None:
    """A batch that was fetched ahead would be returned one poll later."""
    fetcher, reader, executor = fetching([trip(NOON)])
    assert not fetcher.fetch().is_behind
    assert executor.jobs == []
    reader.batches.append([])
    assert fetcher.fetch().messages == []


def test_a_failure_of_fetching_ahead_is_raised_by_the_next_fetch() -> None:
    """As if the batch had been fetched then."""
    fetcher, reader, executor = fetching([trip(NOON)], [trip(NOON)])
    fetcher.fetch()
    reader.fails = True
    executor.work()
    with pytest.raises(BrokerError, match="gone"):
        fetcher.fetch()


def test_close_closes_the_reader_whatever_was_fetched_ahead() -> None:
    """A batch that is waiting, fetched or failed does not matter, and no error is raised."""
    for fails in (False, True):
        for works in (False, True):
            fetcher, reader, executor = fetching([trip(NOON)], [trip(NOON)])
            fetcher.fetch()
            reader.fails = fails
            if works:
                executor.work()
            fetcher.close()
            assert reader.closed


def test_a_batch_is_decoded_by_one_set_of_rules() -> None:
    """It ends where other rules come into force; the rest is the next batch, without a poll."""
    batches = [
        [cast("Message", FakeMessage(trip(NOON, price=9), at)) for at in offsets]
        for offsets in ([3, 4, 7], [8, 11, 12, 13])
    ]
    reader, executor = FakeReader(batches), ManualExecutor()
    older, newer, newest = Tables(), Tables(), Tables()
    rules = [
        Rules(0, TripRules(), older),
        Rules(7, TripRules(max_bytes=1), newer),
        Rules(12, TripRules(), newest),
    ]
    fetcher = Fetcher(cast("PartitionReader", reader), rules, JSON, executor)
    seen = []
    for _ in range(4):
        fetched = fetcher.fetch()
        executor.work()
        offsets = [offset_of(message) for message in fetched.messages]
        position = fetched.position
        seen.append(
            (offsets, position, fetched.decoded.trips.height, fetched.lag, fetched.is_behind)
        )
        expected = older if offsets[0] < 7 else newer if offsets[0] < 12 else newest
        assert fetched.tables is expected
    assert seen == [
        ([3, 4], 5, 2, 5, True),
        ([7], 8, 0, 4, True),
        ([8, 11], 12, 0, 2, True),
        ([12, 13], 14, 2, 0, False),
    ]
