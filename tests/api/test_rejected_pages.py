"""Pages of rejected messages: each once, in order, whatever was read of which partition."""

from collections.abc import Callable, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.errors import InvalidCursorError
from api.queries.rejected_pages import (
    MAX_KEY_BYTES,
    MAX_VALUE_BYTES,
    CutMessage,
    KeptMessage,
    RejectedRead,
    keep_message,
)
from api.representation.rejected import (
    decode_position,
    encode_position,
    to_rejected_response,
)
from mobility.rejected_messages import DEAD, LATE, ReplayMarker, SourcePosition
from mobility.settings import Settings

REASONS = ("not_json", "negative", "in_future")


class Appended:
    """A message as a client of Kafka gives it."""

    def __init__(
        self, headers: Mapping[str, bytes | None], key: bytes | None, value: bytes | None
    ) -> None:
        self._parts = list(headers.items()), key, value

    def headers(self) -> object:
        """Return the headers."""
        return self._parts[0]

    def timestamp(self) -> tuple[int, int]:
        """Return a time."""
        return 2, 1_000

    def key(self) -> bytes | None:
        """Return the key."""
        return self._parts[1]

    def value(self) -> bytes | None:
        """Return the value."""
        return self._parts[2]


def dead(offset: int, time: int, reason: str = "not_json") -> KeptMessage:
    """Return a dead letter of a message with this offset."""
    position = SourcePosition(0, offset)
    content = CutMessage("trips_stream", position, time, reason, None, None, 0, b"x", 1)
    return KeptMessage(time, content)


Log = list[list[KeptMessage]]
"""The messages of each partition, the oldest first."""


@st.composite
def logs(draw: Callable[[st.SearchStrategy[object]], object]) -> Log:
    """Return some partitions whose times ascend, with messages of different reasons."""
    sizes = draw(st.lists(st.integers(0, 12), min_size=1, max_size=4))
    assert isinstance(sizes, list)
    number = 0
    log: Log = []
    for size in sizes:
        times = draw(st.lists(st.integers(0, 20), min_size=size, max_size=size))
        assert isinstance(times, list)
        log.append([])
        for time in sorted(times):
            number += 1
            log[-1].append(dead(number, time, str(draw(st.sampled_from(REASONS)))))
    return log


def read(log: Log, before: dict[int, int] | None, most: int) -> RejectedRead:
    """Read at most so many messages of each partition."""
    ends = {p: len(messages) for p, messages in enumerate(log)} if before is None else before
    starts = {partition: max(0, end - most) for partition, end in ends.items()}
    kept = {
        partition: [(o, log[partition][o]) for o in range(end - 1, starts[partition] - 1, -1)]
        for partition, end in ends.items()
    }
    return RejectedRead(kept, starts, dict.fromkeys(ends, 0))


@given(logs(), st.integers(1, 5), st.integers(1, 6), st.sampled_from([None, *REASONS]))
def test_pages_have_each_message_once_and_in_order(
    log: Log, most: int, limit: int, reason: str | None
) -> None:
    """Whatever a read has of each partition, and however long a page is."""
    before: dict[int, int] | None = None
    seen: list[CutMessage] = []
    while True:
        page = read(log, before, most).page(reason, limit)
        assert len(page.messages) <= limit
        seen += [each.message for each in page.messages]
        if page.following is None:
            break
        assert page.following != before
        before = page.following
    every = [each.content for messages in log for each in messages]
    wanted = [each for each in every if isinstance(each, CutMessage)]
    assert sorted(each.position for each in seen) == sorted(
        each.position for each in wanted if reason in {None, each.reason}
    )
    assert [each.time for each in seen] == sorted((each.time for each in seen), reverse=True)


def test_counts_are_of_all_that_was_read() -> None:
    """Also of the reasons that are not shown; a message that was written twice counts once."""
    log = [[dead(1, 1), dead(2, 2, "negative"), dead(1, 3)], []]
    page = read(log, None, 5).page("negative", 10)
    assert (page.read, dict(page.reasons), page.is_all) == (2, {"not_json": 1, "negative": 1}, True)
    assert len(page.messages) == 1
    assert not read(log, None, 2).page(None, 10).is_all


def test_what_was_replayed_is_said() -> None:
    """Where the marker, which is newer, was read too."""
    marker = ReplayMarker("trips_stream", SourcePosition(0, 1), "", "stream")
    log = [[dead(1, 1)], [KeptMessage(2, marker), KeptMessage(3, None)]]
    page = read(log, None, 5).page(None, 10)
    assert [each.replayed for each in page.messages] == ["stream"]
    assert page.read == 1


def test_clocks_that_go_back_lose_nothing() -> None:
    """Then the order is that of the partition."""
    log = [[dead(1, 9), dead(2, 3), dead(3, 5)]]
    first = read(log, None, 5).page(None, 2)
    assert [each.message.position.offset for each in first.messages] == [3, 2]
    second = read(log, first.following, 5).page(None, 2)
    assert [each.message.position.offset for each in second.messages] == [1]


def test_long_parts_are_cut() -> None:
    """Their sizes are those of the whole parts; a part that is missing stays missing."""
    headers = {"topic": b"t", "partition": b"0", "offset": b"7", "detail": b"d" * 5_000}
    kept = keep_message(Appended(headers, b"k" * 5_000, b"v" * 5_000)).content
    assert isinstance(kept, CutMessage)
    assert (kept.key, kept.value) == (b"k" * MAX_KEY_BYTES, b"v" * MAX_VALUE_BYTES)
    assert (kept.key_size, kept.value_size) == (5_000, 5_000)
    assert len(kept.detail or "") == 1_000
    kept = keep_message(Appended(headers, None, None)).content
    assert isinstance(kept, CutMessage)
    assert (kept.key, kept.value, kept.key_size, kept.value_size) == (None, None, 0, 0)
    assert keep_message(Appended({}, None, b"x")).content is None


def test_a_cursor_belongs_to_its_list() -> None:
    """Of one topic and one reason; anything else is refused."""
    text = encode_position(DEAD, "negative", {1: 7, 0: 3})
    assert decode_position(DEAD, "negative", text) == {0: 3, 1: 7}
    for kind, reason in ((LATE, "negative"), (DEAD, None), (DEAD, "not_json")):
        with pytest.raises(InvalidCursorError, match="another"):
            decode_position(kind, reason, text)
    for wrong in ("", "x", text + "=", text[:-2], "WyJkbHEiLG51bGwsW1swLC0xXV1d"):
        with pytest.raises(InvalidCursorError):
            decode_position(DEAD, "negative", wrong)


def test_commands_are_safe_to_paste() -> None:
    """A reason comes from a header that anybody who writes to the topic chooses."""
    settings = Settings(workspace="january")
    page = read([[dead(1, 1, "x; rm -rf ~")]], None, 5).page(None, 5)
    found = to_rejected_response(DEAD, settings, "x; rm -rf ~", page)
    assert [each.command for each in found.commands] == [
        "just dlq list '--reason=x; rm -rf ~' --json --with-values --name january > letters.ndjson",
        "just dlq replay --with letters.ndjson --name january",
        "just dlq replay '--reason=x; rm -rf ~' --name january",
    ]
    assert to_rejected_response(DEAD, settings, "a\nb", page).commands == []
    assert found.items[0].command == "just dlq show 0:1 --name january"
    late = to_rejected_response(LATE, Settings(), None, page)
    assert [each.command for each in late.commands] == ["just late replay"]
    other = Settings(topic_prefix="other.")
    assert to_rejected_response(DEAD, other, None, page).items[0].command is None
