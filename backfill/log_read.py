"""What a recount has read of the log: its windows are a function of it, and of the corrections."""

import msgspec

from mobility.rules_journal import JournalEntry


class TopicRead(msgspec.Struct, frozen=True):
    """How far a topic was read: by partition the offset behind the last one.

    `topic_id` tells it from another topic of that name; None where the broker has no ids.
    """

    topic_id: str | None
    ends: dict[int, int]


class LogRead(msgspec.Struct, frozen=True):
    """What a recount has read, as `record.json` holds it: the names are stored.

    `rules` are the lines of the rules journal that it judged by; without MOBILITY_RECOVERY_DIR one
    line, with the tables of then.
    """

    trips_stream: TopicRead
    trips_late: TopicRead
    rules: tuple[JournalEntry, ...]
