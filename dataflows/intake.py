"""Intake: the messages of one partition become counted, late and dead ones, in their order.

Offset, prefix maximum and what repeats are recognised by are one state, kept by the source
partition that reads them.
"""

import re
from dataclasses import dataclass, replace
from typing import Any, Final

import polars as pl
from confluent_kafka import Message

from dataflows.failures import RefusalError
from dataflows.items import Heard, Intake, Positioned, Status
from dataflows.partition_reader import offset_of
from mobility.enrichment import Tables, enrich
from mobility.inspection import OVERSIZED, TOMBSTONE, TripRules
from mobility.lateness import LatenessRules, PartitionProgress, judge
from mobility.settings import Settings
from mobility.splicing import enriched_messages
from mobility.topics import WATERMARK_HEADER, trips_topic
from mobility.trips import Decoded, decode_trips

STATE_VERSION: Final = 1

_EPOCH_MS: Final = re.compile(rb"-?[0-9]{1,15}")

_PUNCTUATIONS: Final = pl.Schema({"row": pl.Int64, "event_time": pl.Int64})


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
        punctuations, decoded = self._punctuated(messages, decoded or self.decode(messages))
        trips, decoded = self._without_future(decoded, messages)
        judged = judge(trips, punctuations, self._progress, self._rules)
        self._progress = judged.progress
        if messages:
            self.next_offset = offset_of(messages[-1]) + 1
        self.counts += Counts(
            read=len(messages),
            counted=judged.counted.height,
            late=judged.late.height,
            dead=decoded.rejected.height,
            duplicates=judged.duplicates,
            punctuations=punctuations.height,
        )
        counted = enrich(judged.counted, self._tables, self._settings)
        return Intake(
            heard=self.heard(status, partitions),
            counted=self._spliced(counted, messages) if self._settings.enriched else counted,
            late=self._positioned(messages, judged.late["row"].to_list()),
            dead=self._positioned(messages, decoded.rejected["row"].to_list(), decoded.rejected),
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

    def _punctuated(
        self, messages: list[Message], decoded: Decoded
    ) -> tuple[pl.DataFrame, Decoded]:
        """Tell the punctuations from the other messages that are no trips."""
        times = {
            row: time
            for row, error, _ in decoded.rejected.iter_rows()
            if error == TOMBSTONE and (time := _punctuation(messages[row])) is not None
        }
        if not times:
            return pl.DataFrame(schema=_PUNCTUATIONS), decoded
        punctuations = pl.DataFrame(list(times.items()), schema=_PUNCTUATIONS, orient="row")
        others = decoded.rejected.filter(~pl.col("row").is_in(list(times)))
        ahead = self._in_future(punctuations, messages)
        if ahead.is_empty():
            return punctuations, Decoded(decoded.trips, others)
        kept = punctuations.join(ahead, on="row", how="anti", maintain_order="left")
        return kept, Decoded(decoded.trips, pl.concat([others, ahead]).sort("row"))

    def _without_future(
        self, decoded: Decoded, messages: list[Message]
    ) -> tuple[pl.DataFrame, Decoded]:
        ahead = self._in_future(decoded.trips, messages)
        if ahead.is_empty():
            return decoded.trips, decoded
        trips = decoded.trips.join(ahead, on="row", how="anti", maintain_order="left")
        return trips, replace(decoded, rejected=pl.concat([decoded.rejected, ahead]).sort("row"))

    def _in_future(self, timed: pl.DataFrame, messages: list[Message]) -> pl.DataFrame:
        """Return as rejections the rows stamped too long after their log-append time."""
        greatest = timed["event_time"].max()
        # The broker stamps a partition in order, so the first stamp mostly clears the batch.
        if not isinstance(greatest, int) or greatest <= messages[0].timestamp()[1]:
            return _rejections(timed.clear())
        appended = [messages[row].timestamp()[1] for row in timed["row"]]
        late_by = pl.Series("ahead", appended, dtype=pl.Int64)
        ahead = timed.with_columns(ahead=pl.col("event_time") - late_by)
        return _rejections(ahead.filter(pl.col("ahead") > self._tolerance))

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


def _punctuation(message: Message) -> int | None:
    """Return the event time that a message without a value announces, if it does."""
    text = dict(message.headers() or ()).get(WATERMARK_HEADER)
    if not isinstance(text, bytes) or not _EPOCH_MS.fullmatch(text):
        return None
    return int(text)


def _rejections(rows: pl.DataFrame) -> pl.DataFrame:
    seconds = (pl.col("ahead") // 1_000).cast(pl.String) if "ahead" in rows.columns else pl.lit("")
    detail = pl.format("event time is {} s after the log-append time", seconds)
    return rows.select("row", error=pl.lit("in_future"), detail=detail)
