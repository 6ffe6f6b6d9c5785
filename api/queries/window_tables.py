"""Which tables of Postgres have the windows of a range: the ledger, or rollups of it."""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from api.errors import BeyondLedgerError
from api.queries.hours_of_week import ClockSpan
from api.queries.local_times import Part
from api.queries.time_range import to_datetime
from mobility.rollups import DAY, HOUR, Rollup, interval_of

LEDGER: Final = "ledger"

WindowTables = Mapping[str, Sequence[Part]]
"""By the end of a table's name, `ledger` or that of a rollup: the parts to read there."""


@dataclass(frozen=True, slots=True)
class RollupState:
    """From when to when (epoch ms) a rollup has all intervals, but for those of stale hours.

    `offset` is by how many ms its intervals are moved from those of UTC.
    """

    rollup: Rollup
    offset: int
    kept_from: int | None
    rolled_up_to: int


@dataclass(frozen=True, slots=True)
class LedgerState:
    """What the ledger and the rollups of an entity have at one moment; times are in epoch ms.

    The rollups are in the order of ROLLUPS. The stale hours are those of UTC in the days of a
    question, in order.
    """

    oldest_window: int | None = None
    kept_from: int | None = None
    rollups: Sequence[RollupState] = ()
    stale_hours: Sequence[int] = ()


def choose_tables(
    state: LedgerState, parts: Iterable[Part], cuts: Iterable[int] = (), *, longest: int = DAY
) -> WindowTables:
    """Return where to read the windows that start in parts of a range: the coarsest is first.

    The parts are in order. An interval of a rollup is read where all of it is in a part, and no cut
    divides it; of rollups whose intervals are longer than `longest` none is. Nothing is before the
    oldest window: so its interval is read as well where a part or a cut begins in it before that.
    Raises BeyondLedgerError where windows are needed that were dropped.
    """
    left, divided = [*parts], [*cuts]
    oldest = state.oldest_window
    if oldest is not None:
        left = [(max(start, oldest), end) for start, end in left if end > oldest]
        divided = [cut for cut in divided if cut > oldest]
    found: dict[str, Sequence[Part]] = {}
    for each in state.rollups:
        if each.rollup.length <= longest and left:
            stale = _between(state.stale_hours, left[0][0] - DAY, left[-1][1] + DAY)
            blocked = _blocked(each, divided, stale)
            found[each.rollup.name], left = _split(each, left, blocked, oldest)
    kept_from = state.kept_from
    if kept_from is not None and any(start < kept_from for start, _ in left):
        msg = (
            "Windows are kept for a time, and before that hours and days only "
            "(MOBILITY_RETENTION): they"
        )
        raise BeyondLedgerError(msg, to_datetime(kept_from))
    return {name: each for name, each in {**found, LEDGER: left}.items() if each}


def begin_with_clock_hours(state: LedgerState, spans: Iterable[ClockSpan]) -> bool:
    """Return whether the hours of rollups are those of the clocks in all of these spans."""
    offsets = [each.offset for each in state.rollups if each.rollup.length == HOUR]
    return not any((span.shift + offset) % HOUR for span in spans for offset in offsets)


def _between(times: Sequence[int], start: int, end: int) -> Sequence[int]:
    """Return the times from a start until before an end; all are in order."""
    return times[bisect_left(times, start) : bisect_left(times, end)]


def _blocked(state: RollupState, cuts: Iterable[int], stale_hours: Iterable[int]) -> list[Part]:
    """Return the intervals that can't be read, in order."""
    length, offset = state.rollup.length, state.offset
    divided = ((cut, interval_of(cut, length, offset)) for cut in cuts)
    stale = (time for hour in stale_hours for time in (hour, hour + HOUR - 1))
    return sorted(
        {interval for cut, interval in divided if interval[0] < cut}
        | {interval_of(time, length, offset) for time in stale}
    )


def _split(
    state: RollupState, parts: Iterable[Part], blocked: Sequence[Part], oldest: int | None
) -> tuple[list[Part], list[Part]]:
    """Return what a rollup has of parts, and what is left of them; both in order."""
    length, offset = state.rollup.length, state.offset
    found: list[Part] = []
    left: list[Part] = []
    for start, end in parts:
        low = interval_of(start, length, offset)[0] if start == oldest else start
        if state.kept_from is not None:
            low = max(low, state.kept_from)
        at, next_start = interval_of(low, length, offset)
        if at < low:
            at = next_start
        last, _ = interval_of(min(end, state.rolled_up_to), length, offset)
        done = start
        gaps = blocked[bisect_left(blocked, (at,)) : bisect_left(blocked, (last,))]
        for gap, next_start in (*gaps, (last, last)):
            if at < gap:
                found.append((at, gap))
                if done < at:
                    left.append((done, at))
                done = gap
            at = next_start
        if done < end:
            left.append((done, end))
    return found, left
