"""`replay`: letters go through the front door where their window is open, else to the backfill."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from corrections.frontier import Frontier, read_frontier
from corrections.handover import Handover, default_file, hand_over
from corrections.letterbox import Filters, Found, Letterbox
from corrections.letters import Kind, Mark
from corrections.lines import Supplied
from corrections.partitioner import partition_of
from corrections.reading import Show
from corrections.sender import Sender
from corrections.times import iso
from corrections.trips import Correction, correct
from mobility.settings import Settings
from mobility.topics import trips_topic
from mobility.validation import Rejection


class Refused(Exception):  # noqa: N818 - nothing is broken, and nothing was sent
    """Letters that can't be replayed as they are, one a line."""

    def __init__(self, refusals: list[str]) -> None:
        self.refusals = tuple(refusals)
        super().__init__("\n".join(refusals))


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be replayed: letters by filter, or those that a file corrects.

    `again` also takes what was replayed before; `out` is the file for the backfill.
    """

    filters: Filters
    supplied: tuple[Supplied, ...] = ()
    again: bool = False
    out: Path | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of the letters; `waiting` says that the handed-over windows may still change."""

    sent: int
    handed: int
    skipped: int
    handover: Handover | None
    waiting: bool


@dataclass(frozen=True, slots=True)
class Replay:
    """One replay: what it is done on, and `now` (epoch ms)."""

    settings: Settings
    kind: Kind
    show: Show
    now: Callable[[], int]

    def run(self, request: Request) -> Outcome:
        """Check everything, then send, hand over and mark.

        Raises Refused before anything is sent, DeliveryError or OSError where that failed. What
        was sent before a failure is not marked: sent again it counts once.
        """
        found = self._found(request)
        todo = [each for each in found if request.again or each.replayed is None]
        corrections = self._corrections(todo, request.supplied)
        if not corrections:
            return Outcome(0, 0, len(found), None, waiting=False)
        frontier = read_frontier(self.settings, self.show)
        through, over = self._split(corrections, frontier)
        handover = None
        if over:
            file = request.out or default_file(self.now())
            handover = hand_over(over, self.settings.window_ms, file)
        self._send(through, over, handover)
        complete = frontier.complete_until
        waiting = handover is not None and (complete is None or handover.end > complete)
        skipped = len(found) - len(todo)
        return Outcome(len(through), len(over), skipped, handover, waiting)

    def _found(self, request: Request) -> list[Found]:
        positions = request.filters.positions
        positions |= {each.position for each in request.supplied if each.position is not None}
        box = Letterbox(self.settings, self.kind, self.show)
        found = list(box.find(replace(request.filters, positions=positions)))
        missing = positions - {each.letter.position for each in found}
        if missing:
            where = self.kind.topic(self.settings)
            if request.filters != Filters(positions=request.filters.positions):
                where += " that the filters match"
            raise Refused(
                [f"{position}: no such letter in {where}" for position in sorted(missing)]
            )
        return found

    def _corrections(self, todo: Sequence[Found], supplied: Sequence[Supplied]) -> list[Correction]:
        by_position = {each.position: each for each in supplied}
        corrections, refusals = [], []
        for each in todo:
            letter = each.letter
            # A line without a position is the only one, and of the only letter.
            line = by_position.get(letter.position) or by_position.get(None)
            value = letter.value if line is None else line.value
            try:
                corrections.append(correct(letter, value, self.settings, self.now()))
            except Rejection as rejection:
                where = "" if line is None else f" (line {line.line})"
                fault = f"{rejection.reason}: {rejection.detail}"
                refusals.append(f"{letter.position}{where} would be dead again: {fault}")
        if refusals:
            raise Refused(refusals)
        return corrections

    def _split(
        self, corrections: Sequence[Correction], frontier: Frontier
    ) -> tuple[list[Correction], list[Correction]]:
        """Return what goes through the front door, and what is handed over."""
        if not self.kind.has_reasons:
            # A late trip would be late again, and its message is in the log already.
            return [], list(corrections)
        self._check_ahead(corrections, frontier)
        through: list[Correction] = []
        over: list[Correction] = []
        for each in corrections:
            partition = partition_of(each.key, len(frontier.latest))
            is_open = frontier.takes(partition, each.window_start)
            (through if is_open else over).append(each)
        return through, over

    def _check_ahead(self, corrections: Sequence[Correction], frontier: Frontier) -> None:
        """Refuse trips that would carry event time away, so that all others would be late."""
        greatest = frontier.greatest
        if greatest is None:
            return
        furthest = greatest + self.settings.alignment * 1_000
        refusals = [
            f"{each.letter.position} would make other trips late: its event time is "
            f"{iso(each.event_time)}, and that of all partitions has got to {iso(greatest)}"
            for each in corrections
            if each.event_time > furthest
        ]
        if refusals:
            raise Refused(refusals)

    def _send(
        self, through: Sequence[Correction], over: Sequence[Correction], handover: Handover | None
    ) -> None:
        sender = Sender(self.settings.kafka)
        topic = trips_topic(self.settings)
        for each in through:
            sender.send(topic, each.key, each.value)
        # A mark says what has happened, so all of it must have.
        sender.settle()
        for each in through:
            self._mark(sender, each, "stream")
        if handover is not None:
            for each in over:
                self._mark(sender, each, handover.how)
        sender.settle()

    def _mark(self, sender: Sender, each: Correction, how: str) -> None:
        letter = each.letter
        mark = Mark(letter.topic, letter.position, iso(self.now()), how)
        sender.send(self.kind.topic(self.settings), letter.key, None, mark.headers())
