"""Responses with rejected messages, their cursors, and the commands that correct them.

Bytes are text in which everything unprintable is escaped: in JSON as on a terminal. Times are UTC.
"""

import shlex
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from api.errors import InvalidCursorError
from api.queries.rejected_pages import CutMessage, ListedMessage, Offsets, RejectedPage
from api.queries.time_range import to_datetime
from api.representation.cursor import pack, unpack
from mobility.printable import printable, printable_bytes
from mobility.rejected_messages import RejectedKind
from mobility.settings import Settings
from mobility.topics import trips_topic

_FILE: Final = "letters.ndjson"
_Number = Annotated[int, Meta(ge=0, le=2**63 - 1)]


class _Cursor(msgspec.Struct, frozen=True, array_like=True):
    """A list, and before which offsets of which partitions it continues."""

    command: str
    reason: str | None
    before: list[tuple[_Number, _Number]]


class Command(msgspec.Struct, frozen=True):
    """A command line, and what it does."""

    command: str
    does: str


class RejectedItem(msgspec.Struct, frozen=True, kw_only=True):
    r"""A rejected message. `topic`, `partition` and `offset` are those of the original message.

    `time` is when it was appended to its topic. `key` and `value` are the first bytes, as many as
    are shown of the whole size; null is a message without one. Bytes that are no printable UTF-8
    are escaped (`\x00`, `\u202e`), and a backslash is doubled. `replayed` says how it was sent
    again, if that was read: `stream`, or `backfill` with a file. `command` shows the whole message;
    it is null for an original in another topic than that of the trips.
    """

    topic: str
    partition: int
    offset: int
    time: datetime
    reason: str | None
    detail: str | None
    key: str | None
    key_size: int
    key_shown: int
    value: str | None
    value_size: int
    value_shown: int
    replayed: str | None
    command: str | None


class RejectedResponse(msgspec.Struct, frozen=True, kw_only=True):
    """A page of rejected messages, the newest first; `next` is the cursor of the next page.

    `read` messages of the topic were looked at for this page, and `reasons` says how many of these
    dead letters have which reason; `complete` that there are no older ones. `exists` is false
    without the topic. `commands` correct all messages, or all of the reason that was asked for.
    """

    topic: str
    exists: bool
    items: list[RejectedItem]
    reasons: dict[str, int]
    read: int
    complete: bool
    next: str | None
    commands: list[Command]


def to_rejected_response(
    kind: RejectedKind, settings: Settings, reason: str | None, page: RejectedPage | None
) -> RejectedResponse:
    """Return the response with a page, or with nothing where there is no topic."""
    following = None if page is None else page.following
    return RejectedResponse(
        topic=kind.topic(settings),
        exists=page is not None,
        items=[] if page is None else [_to_item(each, kind, settings) for each in page.messages],
        reasons={} if page is None else dict(page.reasons.most_common()),
        read=0 if page is None else page.read,
        complete=page is None or page.is_all,
        next=None if following is None else encode_position(kind, reason, following),
        commands=list(_commands(kind, settings, reason)) if page and page.read else [],
    )


def encode_position(kind: RejectedKind, reason: str | None, before: Offsets) -> str:
    """Return the cursor of a list that continues before these offsets."""
    return pack(_Cursor(kind.command, reason, sorted(before.items())))


def decode_position(kind: RejectedKind, reason: str | None, text: str) -> dict[int, int]:
    """Return the offsets before which a list continues; raises InvalidCursorError."""
    cursor = unpack(text, _Cursor)
    if (cursor.command, cursor.reason) != (kind.command, reason):
        msg = "cursor: issued for another list, or for another `reason`"
        raise InvalidCursorError(msg)
    return dict(cursor.before)


def _to_item(listed: ListedMessage, kind: RejectedKind, settings: Settings) -> RejectedItem:
    message = listed.message
    return RejectedItem(
        topic=printable(message.topic),
        partition=message.position.partition,
        offset=message.position.offset,
        time=to_datetime(message.time),
        reason=message.reason,
        detail=None if message.detail is None else printable(message.detail),
        key=_to_text(message.key),
        key_size=message.key_size,
        key_shown=len(message.key or b""),
        value=_to_text(message.value),
        value_size=message.value_size,
        value_shown=len(message.value or b""),
        replayed=None if listed.replayed is None else printable(listed.replayed),
        command=_show(message, kind, settings),
    )


def _to_text(part: bytes | None) -> str | None:
    return None if part is None else printable_bytes(part)


def _show(message: CutMessage, kind: RejectedKind, settings: Settings) -> str | None:
    if message.topic != trips_topic(settings):
        return None
    return _line(settings, kind.command, "show", str(message.position))


def _commands(kind: RejectedKind, settings: Settings, reason: str | None) -> Iterator[Command]:
    if not kind.has_reasons:
        yield Command(
            _line(settings, kind.command, "replay"),
            "Writes the late trips into a file, and prints the `just backfill` that counts them",
        )
        return
    if reason is not None and not reason.isprintable():
        return  # no terminal takes it as it is
    of_reason = () if reason is None else (f"--reason={reason}",)
    listing = _line(settings, kind.command, "list", *of_reason, "--json", "--with-values")
    yield Command(f"{listing} > {_FILE}", "Writes them into a file: correct the trip of each line")
    yield Command(
        _line(settings, kind.command, "replay", "--with", _FILE),
        "Sends the corrected trips; what came too late goes into a file, with the `just backfill` "
        "that counts it",
    )
    yield Command(
        _line(settings, kind.command, "replay", *of_reason),
        "Sends them as they are: where a setting or a schema was wrong, and is right now",
    )


def _line(settings: Settings, *words: str) -> str:
    """Return the command line of a recipe, for the workspace that this system is."""
    name: Sequence[str] = ("--name", settings.workspace) if settings.workspace else ()
    return shlex.join(["just", *words, *name])
