"""Checks that the log continues where the recovery state ends: no message is skipped silently."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from broker.topics import TopicInfo
from mobility.settings import Settings
from runtime.failures import RefusalError
from runtime.flow_metrics import FlowMetrics
from runtime.recovery import RecoveryInfo, delete_keys

GAPS_FILE: Final = "gaps.ndjson"

_REMEDY: Final = (
    "Restore the messages if you can. To continue without them: `python -m dataflows -r DIR "
    "--accept-gap` (MOBILITY_ACCEPT_GAP=true), which records the gap in DIR/gaps.ndjson."
)


@dataclass(frozen=True, slots=True)
class ResumePosition:
    """Where the state of a partition ends: its next offset, and the id that the topic had then."""

    next_offset: int | None = None
    topic_id: str | None = None


@dataclass(frozen=True, slots=True)
class Gap:
    """Offsets that were never read: from the end of the state to where reading continues.

    `end` is None where the log has no such partition any more.
    """

    topic: str
    partition: int
    start: int | None
    end: int | None
    why: str


class ResumeValidator:
    """Compares the log with the state of earlier runs, and keeps the record of gaps."""

    def __init__(
        self,
        settings: Settings,
        recovery: RecoveryInfo,
        metrics: FlowMetrics | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._accepts_gaps = settings.accept_gap
        self._recovery = recovery
        self._metrics = metrics
        self._now = now
        if metrics is not None:
            metrics.gaps = len(recorded_gaps(recovery.folder))

    def check_partitions(self, step: str, topic: TopicInfo) -> None:
        """Raise RefusalError where the topic has fewer partitions than the state of the step.

        Where gaps are accepted, the state of the missing ones is deleted.
        """
        known = {int(key): key for key in self._recovery.keys.get(step, ())}
        lost = sorted(set(known) - set(topic.partitions))
        for partition in lost:
            why = (
                f"the recovery state knows {len(known)} partitions (up to {max(known)}), the topic "
                f"has {len(topic.partitions)}"
            )
            self._accept(Gap(topic.name, partition, None, None, why))
        if lost and self._recovery.folder is not None:
            delete_keys(self._recovery.folder, step, {known[partition] for partition in lost})

    def first_offset(
        self, topic: TopicInfo, partition: int, state: ResumePosition, low: int, high: int
    ) -> int:
        """Return where to continue in a log that holds `low` to `high` (exclusive).

        Raises RefusalError where that is not where the state ends.
        """
        offset = state.next_offset
        if offset is None:
            return low
        if state.topic_id is not None and topic.id is not None and state.topic_id != topic.id:
            why = (
                f"the topic was deleted and recreated: the recovery state ends at offset {offset} "
                f"of topic id {state.topic_id}, the log holds {low} to {high} of {topic.id}"
            )
        elif offset < low:
            why = (
                f"the recovery state ends at offset {offset}, the log begins at {low}: the "
                "messages between were removed (retention) before they were read"
            )
        elif offset > high:
            why = (
                f"the recovery state ends at offset {offset}, the log at {high}: the topic was "
                "deleted and recreated, or was truncated at its end"
            )
        else:
            return offset
        self._accept(Gap(topic.name, partition, offset, low, why))
        return low

    def _accept(self, gap: Gap) -> None:
        if not self._accepts_gaps:
            msg = f"{gap.topic} partition {gap.partition}: {gap.why}.\n{_REMEDY}"
            raise RefusalError(msg)
        folder = self._recovery.folder
        if folder is None or gap in recorded_gaps(folder):
            return
        line = {"at": self._now().isoformat(timespec="seconds"), **asdict(gap)}
        with (folder / GAPS_FILE).open("a") as file:
            file.write(f"{json.dumps(line)}\n")
        if self._metrics is not None:
            self._metrics.gaps += 1


def recorded_gaps(folder: Path | None) -> list[Gap]:
    """Return the gaps on record."""
    path = None if folder is None else folder / GAPS_FILE
    if path is None or not path.exists():
        return []
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [Gap(**{name: value for name, value in line.items() if name != "at"}) for line in lines]
