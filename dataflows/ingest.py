"""Ingest: classifies the messages of one partition, in the order of its log.

Offset, greatest event time and dedupe state are one state, kept by the source partition that reads
the messages: what a message becomes depends on all messages before it.
"""

from typing import Any

import polars as pl
from confluent_kafka import Message

from dataflows.items import IngestedBatch, SourceRecords, WatermarkUpdate
from dataflows.partition_reader import offset_of
from mobility.enriched_json import enriched_json
from mobility.enrichment import Tables, enrich
from mobility.lateness import LatenessRules, PartitionProgress, classify
from mobility.punctuations import apply_time_rules
from mobility.settings import Settings
from mobility.status import ReadStatus
from mobility.topics import trips_topic
from mobility.trips import Decoded
from mobility.validation import OVERSIZED
from runtime.failures import RefusalError
from runtime.flow_metrics import MessageCounts
from runtime.folder_record import STATE_VERSION


class ResumeError(RefusalError):
    """Recovery state that this run can't resume from."""


class PartitionIngest:
    """The ingest of one partition of the log, and its state."""

    def __init__(self, partition: int, settings: Settings) -> None:
        self.partition = partition
        self.next_offset: int | None = None
        self.counts = MessageCounts()
        self._settings = settings
        self._topic = trips_topic(settings)
        self._progress = PartitionProgress.start()
        self._rules = LatenessRules.of(settings)
        self._future_tolerance = settings.future_tolerance * 1_000

    @property
    def max_event_time(self) -> int | None:
        """The greatest event time so far, in epoch ms."""
        return self._progress.latest

    def ingest(
        self,
        messages: list[Message],
        decoded: Decoded,
        status: ReadStatus,
        partitions: tuple[int, ...],
        tables: Tables,
    ) -> IngestedBatch:
        """Classify the next messages of the log, which are `decoded` already, and enrich trips.

        `tables` are those that are in force for these messages.
        """
        batch = apply_time_rules(
            decoded,
            headers=lambda row: messages[row].headers(),
            append_time=lambda row: messages[row].timestamp()[1],
            tolerance=self._future_tolerance,
        )
        classified = classify(batch.trips, batch.punctuations, self._progress, self._rules)
        self._progress = classified.progress
        if messages:
            self.next_offset = offset_of(messages[-1]) + 1
        self.counts += MessageCounts(
            read=len(messages),
            counted=classified.counted.height,
            late=classified.late.height,
            dead=batch.rejected.height,
            duplicates=classified.duplicates,
            punctuations=batch.punctuations.height,
        )
        trips = enrich(classified.counted, tables, self._settings)
        return IngestedBatch(
            WatermarkUpdate(
                self.partition, self._progress.watermark(self._rules), status, partitions
            ),
            self._with_json(trips, messages, tables) if self._settings.enriched else trips,
            late=self._source_records(messages, classified.late),
            dead=self._source_records(messages, batch.rejected),
        )

    def snapshot(self) -> dict[str, Any]:
        """Return the state as plain values, which do not depend on the names of classes."""
        return {
            "version": STATE_VERSION,
            "fingerprint": self._settings.fingerprint,
            "answers": self._settings.answers,
            "next_offset": self.next_offset,
            "latest": self._progress.latest,
            "seen": self._progress.dedupe_state.write_ipc(None, compression="zstd").getvalue(),
        }

    def resume(self, state: dict[str, Any]) -> None:
        """Continue from a snapshot.

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

    def _with_json(
        self, trips: pl.DataFrame, messages: list[Message], tables: Tables
    ) -> pl.DataFrame:
        rows = trips["row"].to_list()
        originals = [messages[row].value() or b"" for row in rows]
        offsets = pl.Series("offset", [offset_of(messages[row]) for row in rows], dtype=pl.Int64)
        texts = enriched_json(
            trips.with_columns(offsets), originals, tables, self._topic, self.partition
        )
        return trips.with_columns(texts.alias("json"))

    def _source_records(self, messages: list[Message], rows: pl.DataFrame) -> SourceRecords:
        """Return the messages of some rows; rejections have a reason and a detail."""
        numbers = rows["row"].to_list()
        reasons = rows["error"].to_list() if "error" in rows.columns else []
        values = [messages[row].value() for row in numbers]
        if OVERSIZED in reasons:
            # By reference: a value that is too large to be read is not copied to the dead letters.
            pairs = zip(values, reasons, strict=True)
            values = [None if reason == OVERSIZED else value for value, reason in pairs]
        return SourceRecords(
            topic=self._topic,
            partition=self.partition,
            offsets=[offset_of(messages[row]) for row in numbers],
            values=values,
            keys=[messages[row].key() for row in numbers],
            reasons=reasons,
            details=rows["detail"].to_list() if reasons else [],
        )
