"""Intake: the messages of one partition become counted, late and dead ones, in their order.

Offset, prefix maximum and what repeats are recognised by are one state, kept by the source
partition that reads them.
"""

from dataclasses import dataclass
from typing import Any, Final

import polars as pl
from confluent_kafka import Message

from dataflows.failures import RefusalError
from dataflows.items import Heard, Intake, Positioned, Status
from dataflows.partition_reader import offset_of
from mobility.enrichment import Tables, enrich
from mobility.event_time import apply_time_rules
from mobility.inspection import OVERSIZED, TripRules
from mobility.lateness import LatenessRules, PartitionProgress, judge
from mobility.settings import Settings
from mobility.splicing import enriched_messages
from mobility.topics import trips_topic
from mobility.trips import Decoded, decode_trips

STATE_VERSION: Final = 1


class ResumeError(RefusalError):
    """Recovery state that this run can't go on from."""


@dataclass(frozen=True, slots=True)
class Counts:
    """What became of the messages read in this run."""

    read: int = 0
    counted: int = 0
    late: int = 0
    dead: int = 0
    duplicates: int = 0
    punctuations: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            self.read + other.read,
            self.counted + other.counted,
            self.late + other.late,
            self.dead + other.dead,
            self.duplicates + other.duplicates,
            self.punctuations + other.punctuations,
        )


class PartitionIntake:
    """The intake of one partition of the log, and its state."""

    def __init__(self, partition: int, settings: Settings, tables: Tables) -> None:
        self.partition = partition
        self.next_offset: int | None = None
        self.counts = Counts()
        self._settings = settings
        self._tables = tables
        self._topic = trips_topic(settings)
        self._progress = PartitionProgress.start()
        self._trip_rules = TripRules.of(settings)
        self._rules = LatenessRules.of(settings)
        self._tolerance = settings.future_tolerance * 1_000

    @property
    def latest(self) -> int | None:
        """The greatest event time so far, in epoch ms."""
        return self._progress.latest

    def heard(self, status: Status, partitions: tuple[int, ...]) -> Heard:
        """Return what the partition has to say."""
        return Heard(self.partition, self._progress.watermark(self._rules), status, partitions)

    def decode(self, messages: list[Message]) -> Decoded:
        """Decode messages: that needs no state, so any thread may do it, ahead of `take`."""
        return decode_trips([message.value() for message in messages], self._trip_rules)

    def take(
        self,
        messages: list[Message],
        status: Status,
        partitions: tuple[int, ...],
        decoded: Decoded | None = None,
    ) -> Intake:
        """Take the next messages of the log, `decoded` or yet to be, and tell them apart."""
        timed = apply_time_rules(
            decoded or self.decode(messages),
            headers=lambda row: messages[row].headers(),
            append_time=lambda row: messages[row].timestamp()[1],
            tolerance=self._tolerance,
        )
        judged = judge(timed.trips, timed.punctuations, self._progress, self._rules)
        self._progress = judged.progress
        if messages:
            self.next_offset = offset_of(messages[-1]) + 1
        self.counts += Counts(
            read=len(messages),
            counted=judged.counted.height,
            late=judged.late.height,
            dead=timed.rejected.height,
            duplicates=judged.duplicates,
            punctuations=timed.punctuations.height,
        )
        counted = enrich(judged.counted, self._tables, self._settings)
        return Intake(
            heard=self.heard(status, partitions),
            counted=self._spliced(counted, messages) if self._settings.enriched else counted,
            late=self._positioned(messages, judged.late["row"].to_list()),
            dead=self._positioned(messages, timed.rejected["row"].to_list(), timed.rejected),
        )

    def snapshot(self) -> dict[str, Any]:
        """Return the state as plain values, which outlive renamed classes."""
        return {
            "version": STATE_VERSION,
            "fingerprint": self._settings.fingerprint,
            "answers": self._settings.answers,
            "next_offset": self.next_offset,
            "latest": self._progress.latest,
            "seen": self._progress.seen.write_ipc(None, compression="zstd").getvalue(),
        }

    def resume(self, state: dict[str, Any]) -> None:
        """Go on from a snapshot.

        Raises ResumeError where it is of another version or of settings that give other answers.
        """
        if state["version"] != STATE_VERSION:
            msg = f"recovery state has version {state['version']}, this program {STATE_VERSION}"
            raise ResumeError(msg)
        if state["fingerprint"] != self._settings.fingerprint:
            msg = (
                "the recovery folder belongs to other settings, which give other answers:\n"
                f"  there: {state['answers']}\n  here:  {self._settings.answers}\n"
                "Start with those settings, or with a new recovery folder and empty stores."
            )
            raise ResumeError(msg)
        self.next_offset = state["next_offset"]
        self._progress = PartitionProgress(state["latest"], pl.read_ipc(state["seen"]))

    def _spliced(self, counted: pl.DataFrame, messages: list[Message]) -> pl.DataFrame:
        rows = counted["row"].to_list()
        originals = [messages[row].value() or b"" for row in rows]
        offsets = [offset_of(messages[row]) for row in rows]
        placed = counted.with_columns(pl.Series("offset", offsets, dtype=pl.Int64))
        texts = enriched_messages(placed, originals, self._tables, self._topic, self.partition)
        return counted.with_columns(texts.alias("json"))

    def _positioned(
        self, messages: list[Message], rows: list[int], rejected: pl.DataFrame | None = None
    ) -> Positioned:
        errors = [] if rejected is None else rejected["error"].to_list()
        values = [messages[row].value() for row in rows]
        if OVERSIZED in errors:
            # By reference: what is too large to be read is not copied from topic to topic either.
            pairs = zip(values, errors, strict=True)
            values = [None if error == OVERSIZED else value for value, error in pairs]
        return Positioned(
            topic=self._topic,
            partition=self.partition,
            offsets=[offset_of(messages[row]) for row in rows],
            values=values,
            keys=[messages[row].key() for row in rows],
            errors=errors,
            details=[] if rejected is None else rejected["detail"].to_list(),
        )
