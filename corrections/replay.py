"""Replaying rejected messages: into the trips topic, or into a file for a backfill."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from broker.producer import CheckedProducer
from broker.topic_reader import OnProgress
from corrections.backfill_request import BackfillRequest, default_file, request_backfill
from corrections.correction import Correction, make_correction
from corrections.json_lines import CorrectedTrip
from corrections.max_event_times import MaxEventTimes, read_max_event_times
from corrections.partitioner import partition_of
from corrections.rejected_topic import ListedMessage, MessageFilter, RejectedTopic
from mobility.rejected_messages import RejectedKind, ReplayMarker
from mobility.settings import Settings
from mobility.times import iso_time
from mobility.topics import trips_topic
from mobility.validation import Rejection
from mobility.values import ValueFormat

_CLIENT_ID: Final = "mobility-corrections"
_SECONDS_TO_DELIVER: Final = 30


class ReplayRefusedError(Exception):
    """Messages that can't be replayed, one per line; nothing was sent."""

    def __init__(self, refusals: list[str]) -> None:
        self.refusals = tuple(refusals)
        super().__init__("\n".join(refusals))


@dataclass(frozen=True, slots=True)
class ReplayRequest:
    """What to replay: the selected messages, or those that a file corrects.

    `again` includes what was replayed before; `out` is the file for the backfill.
    """

    selected: MessageFilter
    corrected: tuple[CorrectedTrip, ...] = ()
    again: bool = False
    out: Path | None = None


@dataclass(frozen=True, slots=True)
class ReplayResult:
    """What was done: counts of messages, and the backfill to run, if there is one.

    `incomplete` says that some windows of the backfill are not complete yet.
    """

    sent: int
    backfilled: int
    skipped: int
    backfill: BackfillRequest | None
    incomplete: bool


@dataclass(frozen=True, slots=True)
class MessageReplayer:
    """Replays rejected messages of one kind; `form` is their format, `now` returns epoch ms."""

    settings: Settings
    form: ValueFormat
    kind: RejectedKind
    on_progress: OnProgress
    now: Callable[[], int]

    def replay(self, request: ReplayRequest) -> ReplayResult:
        """Check every message, then send it or write it for a backfill, then mark it as replayed.

        Raises ReplayRefusedError before anything is sent, DeliveryError or OSError where sending
        or writing failed. What was sent before a failure is not marked; sent again it counts once.
        """
        found = self._find(request)
        pending = [each for each in found if request.again or each.replayed is None]
        corrections = self._correct(pending, request.corrected)
        if not corrections:
            return ReplayResult(0, 0, len(found), None, incomplete=False)
        times = read_max_event_times(self.settings, self.form, self.on_progress)
        to_send, to_backfill = self._split(corrections, times)
        backfill = None
        if to_backfill:
            file = request.out or default_file(self.now())
            backfill = request_backfill(to_backfill, self.settings, file)
        self._send(to_send, to_backfill, backfill)
        complete = times.complete_until
        return ReplayResult(
            sent=len(to_send),
            backfilled=len(to_backfill),
            skipped=len(found) - len(pending),
            backfill=backfill,
            incomplete=backfill is not None and (complete is None or backfill.end > complete),
        )

    def _find(self, request: ReplayRequest) -> list[ListedMessage]:
        positions = request.selected.positions
        positions |= {each.position for each in request.corrected if each.position is not None}
        topic = RejectedTopic(self.settings, self.kind, self.on_progress)
        found = list(topic.find(replace(request.selected, positions=positions)))
        missing = positions - {each.message.position for each in found}
        if missing:
            where = self.kind.topic(self.settings)
            if request.selected != MessageFilter(positions=request.selected.positions):
                where += " that the filters select"
            raise ReplayRefusedError(
                [f"{position}: no such message in {where}" for position in sorted(missing)]
            )
        return found

    def _correct(
        self, pending: Sequence[ListedMessage], corrected: Sequence[CorrectedTrip]
    ) -> list[Correction]:
        by_position = {each.position: each for each in corrected}
        corrections, refusals = [], []
        for each in pending:
            message = each.message
            # A line without a position is allowed only as the one line for the one message.
            line = by_position.get(message.position) or by_position.get(None)
            value = None if line is None else line.value
            try:
                corrections.append(
                    make_correction(message, value, self.form, self.settings, self.now())
                )
            except Rejection as rejection:
                where = "" if line is None else f" (line {line.line})"
                fault = f"{rejection.reason}: {rejection.detail}"
                refusals.append(f"{message.position}{where} would be rejected again: {fault}")
        if refusals:
            raise ReplayRefusedError(refusals)
        return corrections

    def _split(
        self, corrections: Sequence[Correction], times: MaxEventTimes
    ) -> tuple[list[Correction], list[Correction]]:
        """Return the corrections to send to the trips topic, and those for a backfill."""
        if not self.kind.has_reasons:
            # A late trip would be late again, and its message is in the log already.
            return [], list(corrections)
        if self.settings.value != "json":
            # A correction is plain JSON, which the flow does not read then.
            return [], list(corrections)
        self._refuse_far_ahead(corrections, times)
        to_send: list[Correction] = []
        to_backfill: list[Correction] = []
        for each in corrections:
            partition = partition_of(each.key, len(times.by_partition))
            is_accepted = times.accepts(partition, each.window_start)
            (to_send if is_accepted else to_backfill).append(each)
        return to_send, to_backfill

    def _refuse_far_ahead(self, corrections: Sequence[Correction], times: MaxEventTimes) -> None:
        """Raise ReplayRefusedError for trips so far ahead that they would make all others late."""
        highest = times.highest
        if highest is None:
            return
        limit = highest + self.settings.alignment * 1_000
        refusals = [
            f"{each.message.position} would make other trips late: its event time is "
            f"{iso_time(each.event_time)}, the highest in {trips_topic(self.settings)} is "
            f"{iso_time(highest)}"
            for each in corrections
            if each.event_time > limit
        ]
        if refusals:
            raise ReplayRefusedError(refusals)

    def _send(
        self,
        to_send: Sequence[Correction],
        to_backfill: Sequence[Correction],
        backfill: BackfillRequest | None,
    ) -> None:
        producer = CheckedProducer(self.settings, _CLIENT_ID, timeout_seconds=_SECONDS_TO_DELIVER)
        topic = trips_topic(self.settings)
        producer.send(topic, [each.key for each in to_send], [each.value for each in to_send])
        # Markers come after everything that they say is delivered.
        producer.flush()
        self._mark(producer, to_send, "stream")
        if backfill is not None:
            self._mark(producer, to_backfill, backfill.how)
        producer.flush()

    def _mark(self, producer: CheckedProducer, corrections: Sequence[Correction], how: str) -> None:
        """Append a marker for each message that was replayed to its topic."""
        messages = [each.message for each in corrections]
        at = iso_time(self.now())
        producer.send(
            self.kind.topic(self.settings),
            [message.key for message in messages],
            [None] * len(messages),
            [ReplayMarker(each.topic, each.position, at, how).headers() for each in messages],
        )
