"""By which tables and rules the flow judges each offset, as its recovery folder says.

A line of `rules.ndjson` there is in force from its first offsets on, and takes the place of the
lines before it. It is read here without the flow's code.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from audit.validation import LogMessage
from broker.topics import find_topic
from mobility.records import RulesVersion
from mobility.settings import Settings
from mobility.topics import trips_topic

TableFiles = Mapping[str, Path]
"""The files of the tables by the settings that name them."""


class JournalError(ValueError):
    """A recovery folder that does not say what is in force."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the journal; partitions without a first offset are judged by it from 0 on."""

    version: RulesVersion
    tables: dict[str, Path]
    first_offsets: dict[int, int]

    def is_reached(self) -> pl.Expr:
        """Return the condition that a row is at or behind the first offset of its partition."""
        if not self.first_offsets:
            return pl.lit(value=True)
        firsts = pl.col("partition").replace_strict(
            list(self.first_offsets),
            list(self.first_offsets.values()),
            default=0,
            return_dtype=pl.Int64,
        )
        return pl.col("offset") >= firsts


@dataclass(frozen=True, slots=True)
class RulesInForce:
    """The journal of a flow, the newest line last, and what its folder says of entities.

    `counted_since` has the first window (epoch ms) of each entity that was added later.
    """

    lines: tuple[Line, ...]
    counted_since: dict[str, int]

    def split_rows(self, rows: pl.DataFrame) -> Iterator[tuple[Line, pl.DataFrame]]:
        """Yield rows with `partition` and `offset` with what is in force for them.

        Rows without a partition, as corrections are, have the newest line.
        """
        newest = len(self.lines) - 1
        numbers = [
            pl.when(line.is_reached()).then(pl.lit(number, pl.Int32))
            for number, line in enumerate(self.lines)
        ]
        number = (
            pl.when(pl.col("partition").is_null())
            .then(pl.lit(newest, pl.Int32))
            .otherwise(pl.max_horizontal(numbers))
        )
        found = rows.select(number.alias("number"))["number"]
        for each in found.unique().sort():
            yield self.lines[each], rows.filter(found == each)

    def split_messages(
        self, messages: Sequence[LogMessage]
    ) -> Iterator[tuple[RulesVersion, list[LogMessage]]]:
        """Yield messages with the version of the rules that is in force for them."""
        schema = {"row": pl.Int64, "partition": pl.Int32, "offset": pl.Int64}
        positions = [(row, each.partition, each.offset) for row, each in enumerate(messages)]
        frame = pl.DataFrame(positions, schema=schema, orient="row")
        for line, rows in self.split_rows(frame):
            yield line.version, [messages[row] for row in rows["row"]]

    def is_counted(self) -> pl.Expr:
        """Return the condition that a window's entity is counted from that window on."""
        first = pl.col("entity").replace_strict(
            self.counted_since, default=None, return_dtype=pl.Int64
        )
        return (pl.col("window_start") >= first).fill_null(value=True)


def read_rules_in_force(settings: Settings) -> RulesInForce | None:
    """Read what is in force in MOBILITY_RECOVERY_DIR; None where the settings do not name it.

    Raises JournalError where the folder does not say it, BrokerError where the broker does not say
    which topic it has.
    """
    if settings.recovery_dir is None:
        return None
    folder = Path(settings.recovery_dir)
    topic_id = find_topic(settings, trips_topic(settings)).id
    try:
        texts = (folder / "rules.ndjson").read_text().splitlines()
        lines = [read_line(json.loads(text), folder, topic_id) for text in texts]
        record = json.loads((folder / "flow.json").read_text())
    except (OSError, ValueError, KeyError) as error:
        msg = (
            f"MOBILITY_RECOVERY_DIR={folder} does not say by which tables the log is judged: "
            f"{error!r}. Is it the recovery folder of the flow, and was the flow started on it?"
        )
        raise JournalError(msg) from error
    entities: dict[str, int | None] = record.get("entities", {})
    since = {name: first for name, first in entities.items() if first is not None}
    return RulesInForce(tuple(lines), since)


def copied_table(folder: Path, sha256: str) -> Path:
    """Return the copy of a table in a recovery folder."""
    return folder / "tables" / f"{sha256}.parquet"


def read_line(line: dict[str, Any], folder: Path, topic_id: str | None) -> Line:
    """Return a line of the journal for the topic with this id."""
    tables = {name: copied_table(folder, sha256) for name, sha256 in line["tables"].items()}
    # Offsets of a deleted topic do not apply to a new topic of the same name.
    is_same = line["topic_id"] is None or topic_id in {None, line["topic_id"]}
    firsts = line["first_offsets"] if is_same else {}
    return Line(line["version"], tables, {int(p): first for p, first in firsts.items()})
