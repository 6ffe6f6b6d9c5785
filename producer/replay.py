"""The replay itself: batches out at their pace, quiet partitions punctuated, progress kept."""

from bisect import bisect_right
from collections.abc import Callable, Iterable
from typing import Final

from producer.batches import Batch, Position
from producer.outlet import Outlet
from producer.pace import Clock, Pace

_MESSAGES_AT_ONCE: Final = 10_000
_LONGEST_SLEEP: Final = 0.1
_PUNCTUATE_EVERY: Final = 1.0
_KEEP_EVERY: Final = 5.0

Keep = Callable[[Position], None]
Show = Callable[[int, int], None]


def nothing_kept(_position: Position) -> None:
    """Keep no position: every start begins at the beginning."""


class Replay:
    """Sends batches to an outlet.

    `keep` is called with a position once everything before it is confirmed, every few seconds and
    at the end; `show` with the number of messages sent and the event time reached (epoch ms);
    `stopping` is asked at least every tenth of a second.
    """

    def __init__(
        self,
        outlet: Outlet,
        clock: Clock,
        *,
        keep: Keep,
        show: Show,
        stopping: Callable[[], bool],
    ) -> None:
        self._outlet = outlet
        self._clock = clock
        self._keep = keep
        self._show = show
        self._stopping = stopping
        self._sent = 0
        self._kept_at = clock.now()
        self._punctuated_at: float | None = None
        self._trips_then: list[int] = []

    def run(self, batches: Iterable[Batch], pace: Callable[[int], Pace]) -> None:
        """Send every batch, or as much as there is time for until `stopping`.

        `pace` makes the pace from the first event time (epoch ms). Raises DeliveryError.
        """
        position: Position | None = None
        chosen: Pace | None = None
        for batch in batches:
            chosen = chosen or pace(batch.due[0])
            position = self._send(batch, chosen)
            if self._stopping():
                break
        self._outlet.settle()
        if position is not None:
            self._keep(position)

    def _send(self, batch: Batch, pace: Pace) -> Position:
        """Send a batch; return the position behind what was sent."""
        rows, done = len(batch.due), 0
        most = max(1, _MESSAGES_AT_ONCE // batch.copies)
        position = batch.start
        while done < rows and not self._stopping():
            now = self._clock.now()
            reached = pace.reached(now)
            due = bisect_right(batch.due, reached, lo=done, hi=min(done + most, rows))
            if due > done:
                messages = slice(done * batch.copies, due * batch.copies)
                self._outlet.send(batch.keys[messages], batch.values[messages])
                self._sent += messages.stop - messages.start
                self._show(self._sent, batch.due[due - 1])
                done = due
                position = Position(batch.start.loop, batch.start.row + done)
            self._keep_now_and_then(position, now)
            if done < rows and batch.due[done] > reached:
                # Every trip up to `reached` is out, here and in all batches before.
                self._wait(reached, now, pace.seconds_until(batch.due[done], now))
        return position

    def _wait(self, reached: int, now: float, seconds: float) -> None:
        self._outlet.poll()
        self._show(self._sent, reached)
        if self._punctuated_at is None:
            # History ends here: every partition is to hear how far it went.
            self._trips_then = list(self._outlet.tally.trips)
        if self._punctuated_at is None or now - self._punctuated_at >= _PUNCTUATE_EVERY:
            self._punctuate_quiet(reached)
            self._punctuated_at = now
        self._clock.sleep(min(max(seconds, 0.001), _LONGEST_SLEEP))

    def _punctuate_quiet(self, reached: int) -> None:
        trips = list(self._outlet.tally.trips)
        for partition, (then, now) in enumerate(zip(self._trips_then, trips, strict=True)):
            if then == now:
                self._outlet.punctuate(partition, reached)
        self._trips_then = trips

    def _keep_now_and_then(self, position: Position, now: float) -> None:
        if now - self._kept_at >= _KEEP_EVERY:
            self._outlet.settle()
            self._keep(position)
            self._kept_at = now
