"""The replay: sends batches on schedule, punctuates idle partitions, saves the position."""

from bisect import bisect_right
from collections.abc import Callable, Iterable
from typing import Final

from producer.batches import FilePosition, MessageBatch
from producer.schedule import Clock, EventTimeSchedule
from producer.trip_writer import TripWriter

_MESSAGES_PER_SEND: Final = 10_000
_MAX_SLEEP: Final = 0.1
_PUNCTUATION_INTERVAL: Final = 1.0
_SAVE_INTERVAL: Final = 5.0

SavePosition = Callable[[FilePosition], None]
ShowProgress = Callable[[int, int], None]


def discard_position(_position: FilePosition) -> None:
    """Save nothing: every start begins at the beginning."""


class TripReplayer:
    """Sends batches to a writer.

    `save_position` is called with a position once everything before it is delivered, every few
    seconds and at the end; `show_progress` with the number of messages sent and the event time
    reached (epoch ms); `is_stopping` at least ten times a second.
    """

    def __init__(
        self,
        writer: TripWriter,
        clock: Clock,
        *,
        save_position: SavePosition,
        show_progress: ShowProgress,
        is_stopping: Callable[[], bool],
    ) -> None:
        self._writer = writer
        self._clock = clock
        self._save_position = save_position
        self._show_progress = show_progress
        self._is_stopping = is_stopping
        self._sent = 0
        self._saved_at = clock.now()
        self._punctuated_at: float | None = None
        self._trips_at_punctuation: list[int] = []

    def run(
        self, batches: Iterable[MessageBatch], make_schedule: Callable[[int], EventTimeSchedule]
    ) -> FilePosition | None:
        """Send every batch when it is due, until `is_stopping`; return how far Kafka has confirmed.

        That is None if there was nothing to send. `make_schedule` gets the first event time (epoch
        ms). Raises DeliveryError.
        """
        position: FilePosition | None = None
        schedule: EventTimeSchedule | None = None
        for batch in batches:
            schedule = schedule or make_schedule(batch.due[0])
            position = self._send(batch, schedule)
            if self._is_stopping():
                break
        self._writer.flush()
        if position is not None:
            self._save_position(position)
        return position

    def _send(self, batch: MessageBatch, schedule: EventTimeSchedule) -> FilePosition:
        """Send a batch; return the position after what was sent."""
        rows, done = len(batch.due), 0
        max_rows = max(1, _MESSAGES_PER_SEND // batch.copies)
        position = batch.start
        while done < rows and not self._is_stopping():
            now = self._clock.now()
            event_time = schedule.event_time_at(now)
            due = bisect_right(batch.due, event_time, lo=done, hi=min(done + max_rows, rows))
            if due > done:
                messages = slice(done * batch.copies, due * batch.copies)
                self._writer.send(batch.keys[messages], batch.values[messages])
                self._sent += messages.stop - messages.start
                self._show_progress(self._sent, batch.due[due - 1])
                done = due
                position = FilePosition(batch.start.loop, batch.start.row + done)
            self._save_periodically(position, now)
            if done < rows and batch.due[done] > event_time:
                # Every trip up to `event_time` is sent, in this batch and in all before.
                self._wait(event_time, now, schedule.seconds_until(batch.due[done], now))
        return position

    def _wait(self, event_time: int, now: float, seconds: float) -> None:
        self._writer.poll()
        self._show_progress(self._sent, event_time)
        if self._punctuated_at is None:
            # The past trips are sent: every partition gets a punctuation, also the busy ones.
            self._trips_at_punctuation = list(self._writer.delivered.trips)
        if self._punctuated_at is None or now - self._punctuated_at >= _PUNCTUATION_INTERVAL:
            self._punctuate_idle(event_time)
            self._punctuated_at = now
        self._clock.sleep(min(max(seconds, 0.001), _MAX_SLEEP))

    def _punctuate_idle(self, event_time: int) -> None:
        trips = list(self._writer.delivered.trips)
        counts = zip(self._trips_at_punctuation, trips, strict=True)
        for partition, (before, now) in enumerate(counts):
            if before == now:
                self._writer.send_punctuation(partition, event_time)
        self._trips_at_punctuation = trips

    def _save_periodically(self, position: FilePosition, now: float) -> None:
        if now - self._saved_at >= _SAVE_INTERVAL:
            self._writer.flush()
            self._save_position(position)
            self._saved_at = now
