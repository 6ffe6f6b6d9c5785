"""The rules journal: by which tables and which rules each offset of the log is judged.

An answer depends on more than the log and the settings of the fingerprint: on the tables that
enrichment joins, and on the version of the rules for a trip. Each line of the journal is in force
from some offsets on, and the copies of its tables are kept beside it.
"""

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from mobility.records import RulesVersion

JOURNAL_FILE: Final = "rules.ndjson"
"""The journal in a recovery folder: one JSON object a line, the newest last."""


NOT_KNOWN: Final = (
    "MOBILITY_RECOVERY_DIR is not set: the whole log is judged by the tables and rules of now"
)
"""What programs say that judge the log again, where no journal is named."""


class JournalEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the journal: what is in force from some offsets on.

    `at` is when it was written (ISO 8601). `tables` has the SHA-256 (hex) of each table by its
    setting. `first_offsets` are by partition of the topic `topic_id`; other partitions, and other
    topics of the same name, are judged by it from their beginning.
    """

    at: str
    version: RulesVersion
    tables: dict[str, str]
    first_offsets: dict[int, int] = {}
    topic_id: str | None = None

    def first_offset(self, partition: int, topic_id: str | None) -> int:
        """Return the first offset of a partition that this entry may be in force for."""
        is_same = self.topic_id is None or topic_id in {None, self.topic_id}
        return self.first_offsets.get(partition, 0) if is_same else 0


def table_file(sha256: str) -> str:
    """Return the path of a table's copy below the recovery folder."""
    return f"tables/{sha256}.parquet"


def in_force(
    entries: Iterable[JournalEntry], partition: int, topic_id: str | None
) -> list[tuple[int, JournalEntry]]:
    """Return the entries for a partition with their first offsets, in the order of the log.

    A later entry takes the place of earlier ones from its first offset on.

    >>> one, two = (JournalEntry(at=f"2025-01-0{n}", version=1, tables={}) for n in (1, 2))
    >>> three = msgspec.structs.replace(one, at="2025-01-03", first_offsets={7: 50})
    >>> [(first, entry.at) for first, entry in in_force([one, two, three], 7, None)]
    [(0, '2025-01-02'), (50, '2025-01-03')]
    """
    found: list[tuple[int, JournalEntry]] = []
    for entry in reversed(list(entries)):
        first = entry.first_offset(partition, topic_id)
        if not found or first < found[0][0]:
            found.insert(0, (first, entry))
    return found


def encode_journal(entries: Sequence[JournalEntry]) -> bytes:
    """Return the journal as its file holds it."""
    return b"".join(msgspec.json.encode(entry) + b"\n" for entry in entries)


def decode_journal(lines: bytes) -> tuple[JournalEntry, ...]:
    """Return the entries of a journal, the newest last; raises msgspec.DecodeError.

    That is also where a later release has written rules that this one does not know.
    """
    decoder = msgspec.json.Decoder(JournalEntry)
    return tuple(decoder.decode(line) for line in lines.splitlines() if line)
