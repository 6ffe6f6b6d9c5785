"""Waiting until the flow has read what was sent, by the offsets that it commits."""

import time
from collections.abc import Callable, Mapping
from typing import Final

from rich.console import Console

from broker.group_offsets import GroupOffsets
from broker.offsets import Partition
from broker.topic_reader import TopicReader
from imports.errors import ImportRefusedError
from mobility.settings import Settings
from mobility.topics import trips_topic
from runtime.flows import consumer_group

_PAUSE_SECONDS: Final = 1.0
_SILENCE_SECONDS: Final = 60.0


def read_ends(settings: Settings) -> dict[int, int]:
    """Return the next offset of each partition of the log. Raises BrokerError."""
    with TopicReader(settings, trips_topic(settings)) as reader:
        return reader.ends()


def require_group(settings: Settings) -> str:
    """Return the consumer group of the flow; raises ImportRefusedError where there is none."""
    group = consumer_group("main", settings)
    if group is None:
        msg = (
            "MOBILITY_CONSUMER_GROUP is empty, so nothing says how far the flow has read, and "
            "when late trips can be recounted. Set it, also for the flow"
        )
        raise ImportRefusedError(msg)
    return group


def wait_for_flow(
    settings: Settings, group: str, ends: Mapping[int, int], console: Console
) -> None:
    """Return once the flow would resume at these offsets, or beyond them: late trips are durable.

    Raises BrokerError where the group can't be read.
    """
    offsets = GroupOffsets(settings, group)
    wanted = {(trips_topic(settings), partition): end for partition, end in ends.items()}
    silence = Silence()
    with console.status("the flow reads the trips") as status:
        while left := count_left(wanted, offsets.read(wanted)):
            status.update(f"the flow reads the trips: {left:,} messages left")
            if silence.is_long(left):
                console.print(
                    f"the flow has not read on for a minute, {left:,} messages are left: is it "
                    "running? Ctrl-C ends the wait, and the same command goes on with it"
                )
            time.sleep(_PAUSE_SECONDS)


def count_left(wanted: Mapping[Partition, int], stored: Mapping[Partition, int]) -> int:
    """Return how many messages are between stored and wanted offsets."""
    return sum(max(0, end - stored.get(place, 0)) for place, end in wanted.items())


class Silence:
    """Notices, once for each, that a number has not changed for a minute."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._number: int | None = None
        self._since = clock()

    def is_long(self, number: int) -> bool:
        """Tell whether it is the same number since a minute, if that was not told yet."""
        now = self._clock()
        if number != self._number:
            self._number, self._since = number, now
        is_long = now - self._since > _SILENCE_SECONDS
        if is_long:
            self._since = float("inf")
        return is_long
