"""The source: the partitions of `trips_stream`, each with its intake."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property, partial
from typing import Any, Final

from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition

from dataflows.board import Board, Standing
from dataflows.continuity import Continuity, Place
from dataflows.fetching import Fetched, Fetcher
from dataflows.intake import PartitionIntake
from dataflows.items import Intake, Status
from dataflows.log_topic import Topic, asking, described
from dataflows.metrics import show_metrics
from dataflows.partition_reader import PartitionReader
from dataflows.recovery import Past
from dataflows.tables import read_tables
from dataflows.topic_watch import TopicWatch
from mobility.enrichment import Tables
from mobility.settings import Settings
from mobility.topics import trips_topic

STEP_ID: Final = "mobility_hub.trips_stream"
"""The step of the flow that this source is: its states are found by it."""

_ALIGN_PAUSE: Final = timedelta(milliseconds=10)


@dataclass(frozen=True, slots=True)
class Log:
    """The topic that the partitions belong to, and the look at what becomes of it."""

    topic: Topic
    watch: TopicWatch


class TripSource(FixedPartitionedSource[Intake, dict[str, Any]]):
    """Reads trips from Kafka: at least once by itself, exactly once with recovery.

    A partition's snapshot holds its offset and all that its intake knows, so that after a resume
    the messages behind it are judged as they were before. `stopping` tells when to end gracefully.
    """

    def __init__(
        self, settings: Settings, board: Board, stopping: Callable[[], bool], past: Past
    ) -> None:
        self._settings = settings
        self._board = board
        self._stopping = stopping
        self._continuity = Continuity(settings, past, board)
        self._ask = asking(settings, trips_topic(settings))
        self._executor = ThreadPoolExecutor(1, "fetching")

    @cached_property
    def _tables(self) -> Tables:
        return read_tables(self._settings)

    @cached_property
    def _log(self) -> Log:
        topic = described(self._settings, trips_topic(self._settings), self._ask)
        return Log(topic, TopicWatch(topic, self._ask, self._board))

    def list_parts(self) -> list[str]:
        """Return the partitions of the topic, as `000`, `001` and so on."""
        topic = self._log.topic
        show_metrics(self._board, self._settings)
        self._continuity.check_partitions(STEP_ID, topic)
        return [f"{partition:03}" for partition in topic.partitions]

    def build_part(
        self, step_id: str, for_part: str, resume_state: dict[str, Any] | None
    ) -> "TripPartition":
        """Connect to the broker and go on where the snapshot stands."""
        del step_id
        partition, topic = int(for_part), self._log.topic
        intake = PartitionIntake(partition, self._settings, self._tables)
        place = Place()
        if resume_state is not None:
            intake.resume(resume_state)
            place = Place(intake.next_offset, resume_state.get("topic_id"))
        begin = partial(self._continuity.first_offset, topic, partition, place)
        reader = PartitionReader(
            self._settings, topic.name, partition, begin, len(topic.partitions)
        )
        intake.next_offset = reader.position
        fetcher = Fetcher(reader, intake, self._executor)
        return TripPartition(
            self._settings, self._log, intake, fetcher, self._board, self._stopping
        )


class TripPartition(StatefulSourcePartition[Intake, dict[str, Any]]):
    """One partition of the log: what is fetched of it, its intake tells apart."""

    def __init__(
        self,
        settings: Settings,
        log: Log,
        intake: PartitionIntake,
        fetcher: Fetcher,
        board: Board,
        stopping: Callable[[], bool],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._log = log
        self._intake = intake
        self._fetcher = fetcher
        self._board = board
        self._stopping = stopping
        self._clock = clock
        self._idle_after = settings.idle_after
        self._standing = board.standings[intake.partition] = Standing(latest=intake.latest)
        self._said: Status | None = None
        self._last_message = clock()
        self._next_poll: datetime | None = None

    def next_batch(self) -> list[Intake]:
        """Return what the log has, as one item; nothing while others have to catch up."""
        self._board.publish()
        self._log.watch.look()
        if self._stopping() or self._said == "finished":
            raise StopIteration
        # The first word goes out even if nobody may read on: everybody waits for it.
        if self._said is not None and self._board.is_ahead(self._intake.partition):
            self._next_poll = datetime.now(UTC) + _ALIGN_PAUSE
            return []
        fetched = self._fetcher.take()
        self._next_poll = fetched.next_poll
        if fetched.messages:
            self._last_message = self._clock()
        status = self._status(fetched)
        item = self._intake.take(
            fetched.messages, status, self._log.topic.partitions, fetched.decoded
        )
        is_news = bool(fetched.messages) or status != self._said
        self._said = status
        self._note(item.heard.watermark, status, fetched.lag)
        return [item] if is_news else []

    def next_awake(self) -> datetime | None:
        """Return when to poll again."""
        return self._next_poll

    def snapshot(self) -> dict[str, Any]:
        """Return offset and intake state as one, with the id of the topic that the offset is of."""
        return {**self._intake.snapshot(), "topic_id": self._log.topic.id}

    def close(self) -> None:
        """Leave the broker and say the last word in the status file."""
        self._board.publish(now=True)
        self._fetcher.close()

    def _status(self, fetched: Fetched) -> Status:
        if fetched.finished:
            return "finished"
        if fetched.behind:
            return "behind"
        quiet = self._clock() - self._last_message
        return "idle" if fetched.lag == 0 and quiet >= self._idle_after else "caught_up"

    def _note(self, watermark: int | None, status: Status, lag: int) -> None:
        self._standing.latest = self._intake.latest
        self._standing.watermark = watermark
        self._standing.status = status
        self._standing.lag = lag
        self._standing.position = self._intake.next_offset
        self._standing.counts = self._intake.counts
