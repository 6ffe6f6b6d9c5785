"""The running audit: it follows the log and, now and then, compares a few windows that are over."""

import time
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Final

import polars as pl

from audit.checks import Check, Round
from audit.places import Place, Progress, Span, delivered
from audit.published import Published
from audit.recount import recount
from audit.sample import Sample, added, newest
from audit.tail import Tail
from mobility.entities import BY_NAME, ENTITIES
from mobility.records import MAX_EVENT_TIME, MIN_EVENT_TIME
from mobility.settings import Settings
from mobility.topics import trips_topic

SIZE: Final = 25
"""Windows of each entity and window start that are compared."""

MOST: Final = 200_000
"""Messages of a partition that a start reads at the most: what is older is not watched."""

_PENDING: Final = 50_000
_A_ROUND: Final = 2_000
_GROUPS: Final = ("entity", "window_start")
_EVERYTHING: Final = Span(MIN_EVENT_TIME, MAX_EVENT_TIME)

Pause = Callable[[float], bool]
"""Waits so many seconds; returns whether the watch is to end."""


class Watch:
    """One watch: its positions in the topics and the sampled windows that are not over yet.

    Every place is asked as often as there is a round, for a few ids; a window that was compared is
    forgotten. Where a store stands still, reading does too, so that no more is remembered.
    """

    def __init__(self, settings: Settings, places: Sequence[Place], seed: int) -> None:
        self._settings = settings
        self._places = places
        self._horizon = settings.window_ms + settings.allowed_lateness * 1_000
        self._done = MIN_EVENT_TIME
        whole = Sample(SIZE, seed, _GROUPS, added)
        self._sent = Sample(SIZE, seed, _GROUPS, newest)
        self._tail = Tail(settings.kafka, trips_topic(settings), most=MOST)
        self._counted = recount(self._tail, whole, settings, _EVERYTHING)
        try:
            self._published = Published(settings, list(ENTITIES), self._sent, most=MOST)
        except BaseException:
            self._tail.close()
            raise

    def round(self, pause: Pause) -> list[Check] | None:
        """Follow the topics and compare what is over by now; None where told to end meanwhile."""
        marks = [place.progress() for place in self._places]
        sent = delivered(self._settings)
        if not self._follow(pause):
            return None
        span = self._over(marks, sent)
        if span.last < span.first:
            return []
        look = Round(
            self._counted.sample,
            self._sent,
            span,
            self._places,
            marks,
            sent,
            self._published.reach,
            self._settings,
        )
        checks = look.checks(ENTITIES, everything=False)
        self._forget(span.last + 1)
        return checks

    @property
    def behind(self) -> int:
        """The number of window starts that are followed and not over."""
        return self._counted.sample.rows["window_start"].n_unique()

    def close(self) -> None:
        """Leave the broker."""
        self._tail.close()
        self._published.close()

    def _follow(self, pause: Pause) -> bool:
        """Read the log as far as there is room, and the topics to their ends."""
        steps = [self._published.follow(Span(self._done, MAX_EVENT_TIME))]
        if self._counted.sample.rows.height < _PENDING:
            steps.insert(0, self._counted.follow(self._tail.ends()))
        started = time.monotonic()
        for _ in chain.from_iterable(steps):
            # Half of the time belongs to the others, however much there is to read.
            if pause(time.monotonic() - started):
                return False
            started = time.monotonic()
        return True

    def _over(self, marks: Sequence[Progress], sent: Progress) -> Span:
        """Return the windows that are whole in the log and in every place."""
        whole = self._counted.whole
        claims = [progress.get(name, MIN_EVENT_TIME) for progress in marks for name in BY_NAME]
        if self._settings.status_dir is not None:
            claims += [sent.get(name, MIN_EVENT_TIME) for name in BY_NAME]
        last = min([whole.last, *(claim - self._horizon - 1 for claim in claims)])
        return self._few(Span(max(whole.first, self._done), last))

    def _few(self, span: Span) -> Span:
        """Leave the later windows to later rounds where these would be many to ask for at once."""
        rows = self._counted.sample.rows.filter(span.windows())
        starts = rows.group_by("window_start").len().sort("window_start")
        beyond = starts.filter(pl.col("len").cum_sum() > _A_ROUND).slice(1)["window_start"]
        return span if beyond.is_empty() else Span(span.first, beyond[0] - 1)

    def _forget(self, before: int) -> None:
        self._done = before
        self._counted.sample.forget(before)
        self._counted.starts.clear()
        self._sent.forget(before)
