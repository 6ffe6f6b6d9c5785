"""A topic of letters, as it is read: each letter once, with what became of it."""

from collections.abc import Iterator
from dataclasses import dataclass

from corrections.letters import Kind, Letter, Mark, Position, read_message
from corrections.reading import Show, TopicReader
from corrections.seen import Seen
from mobility.settings import Settings
from mobility.topics import trips_topic


@dataclass(frozen=True, slots=True)
class Filters:
    """Which letters are meant; an empty set means all.

    `begin` (inclusive) and `end` (exclusive) are epoch ms of the time at which a letter was
    written.
    """

    reasons: frozenset[str] = frozenset()
    begin: int | None = None
    end: int | None = None
    partitions: frozenset[int] = frozenset()
    positions: frozenset[Position] = frozenset()

    def match(self, letter: Letter) -> bool:
        """Return whether a letter is meant."""
        return (
            (self.begin is None or self.begin <= letter.time)
            and (self.end is None or letter.time < self.end)
            and (not self.reasons or letter.reason in self.reasons)
            and (not self.partitions or letter.position.partition in self.partitions)
            and (not self.positions or letter.position in self.positions)
        )


@dataclass(frozen=True, slots=True)
class Found:
    """A letter, and how it was replayed; None where it was not."""

    letter: Letter
    replayed: str | None


class Letterbox:
    """One topic of letters. `foreign` counts messages there that are no letters of this log."""

    def __init__(self, settings: Settings, kind: Kind, show: Show) -> None:
        self.foreign = 0
        self._settings = settings
        self._topic = kind.topic(settings)
        self._source = trips_topic(settings)
        self._show = show

    def find(self, filters: Filters) -> Iterator[Found]:
        """Yield the letters that are meant, each position once, as they come.

        A mark stands behind its letter, so the topic is read twice. No value is kept.
        """
        with TopicReader(self._settings.kafka, self._topic) as reader:
            begin = filters.begin or 0
            # What is stamped at `begin` or after lies at this offset or after it.
            starts = {each: reader.offset_at(each, begin) for each in reader.partitions}
            marks = self._marks(reader, starts)
            seen = Seen()
            for letters in self._letters(reader, starts):
                meant = [letter for letter in letters if filters.match(letter)]
                fresh = seen.fresh([letter.position for letter in meant])
                for letter, is_fresh in zip(meant, fresh, strict=True):
                    if is_fresh:
                        yield Found(letter, marks.get(letter.position))

    def _marks(self, reader: TopicReader, starts: dict[int, int]) -> dict[Position, str]:
        marks = {}
        for batch in reader.read(starts, self._show):
            for message in batch:
                # Only a mark has no value but headers of its own; letters are not parsed twice.
                if message.value() is None and isinstance(mark := read_message(message), Mark):
                    marks[mark.position] = mark.how
        return marks

    def _letters(self, reader: TopicReader, starts: dict[int, int]) -> Iterator[list[Letter]]:
        for batch in reader.read(starts, self._show):
            letters = []
            for message in batch:
                read = read_message(message)
                if isinstance(read, Letter) and read.topic == self._source:
                    letters.append(read)
                elif not isinstance(read, Mark):
                    self.foreign += 1
            yield letters
