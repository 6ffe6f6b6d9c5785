"""The commands on letters that stand there already: no flow runs here."""

import json
from pathlib import Path
from typing import Final

import pytest

from corrections.sender import Sender
from mobility.topics import dead_topic, late_topic, trips_topic
from tests.corrections.conftest import Desk
from tests.corrections.test_trips import message
from tests.dataflows.conftest import Hub
from tests.strategies import MINUTE, NOON, Entry

pytestmark = pytest.mark.services

DEAD: Final = [("error", "negative"), ("detail", "price is -1")]


def set_aside(hub: Hub, topic: str, *values: bytes | None, why: list[tuple[str, str]]) -> None:
    """Write letters as the flow does, of the positions 0:0, 0:1 and so on."""
    sender = Sender(hub.settings.kafka)
    for offset, value in enumerate(values):
        place = [("topic", trips_topic(hub.settings)), ("partition", "0"), ("offset", str(offset))]
        sender.send(topic, b"key", value, [*place, *why])
    sender.settle()


def test_what_is_asked_for_and_what_the_lines_say_must_fit(hub: Hub, desk: Desk) -> None:
    """Else a letter would be sent that nobody meant."""
    hub.make_topics()
    set_aside(hub, dead_topic(hub.settings), b"{", message(), why=DEAD)
    good = json.loads(message())
    for file, arguments, word in (
        (desk.file(), [], "holds no corrected trip"),
        (desk.file(good), [], "line 1: a trip without a position"),
        (desk.file(good, good), ["0:0"], "line 1: a trip without a position"),
        (desk.file({"position": "0:0", "trip": good}), ["0:1"], "line 1 corrects 0:0"),
        (desk.file({"position": "0:0"}), [], "line 1: 0:0: no trip"),
    ):
        refused = desk.run("dlq", "replay", *arguments, "--with", file)
        assert (refused.code, refused.out) == (1, b"")
        assert word in refused.err
        assert "Nothing was sent." in refused.err
    missing = desk.run("dlq", "replay", "--with", "nowhere")
    assert (missing.code, missing.err) == (2, "nowhere: No such file or directory\n")
    assert hub.messages("trips_stream") == []
    assert desk.run("dlq", "replay", "0:1").code == 0
    (sent,) = hub.messages("trips_stream")
    assert json.loads(sent.value() or b"") == {"trip_id": (sent.key() or b"").decode(), **good}


def test_windows_that_may_still_change_are_told(hub: Hub, desk: Desk) -> None:
    """A partition that is behind holds up the backfill, and late trips without an id its file."""
    hub.make_topics()
    hub.write([[Entry(NOON + 120 * MINUTE, "new")], [Entry(NOON + 20 * MINUTE, "slow")], []])
    set_aside(hub, late_topic(hub.settings), message(), message(), why=[])
    done = desk.run("late", "replay")
    assert done.code == 0
    assert done.text.splitlines()[1:] == [
        "  just backfill --from 2025-01-01T12:00:00Z --to 2025-01-01T12:05:00Z",
        "Not all of these windows are complete yet: run it when they are.",
    ]
    assert not Path(".mobility").exists()
    hub.write([[], [], [Entry(NOON + 120 * MINUTE, "third")]])
    done = desk.run("late", "replay", "--again")
    assert "Not all of these windows" not in done.text


def test_a_message_without_a_value_and_a_foreign_one(hub: Hub, desk: Desk) -> None:
    """A tombstone is a letter too; what names no position is told, not hidden."""
    hub.make_topics()
    set_aside(hub, dead_topic(hub.settings), None, b"{" * 20_000, why=[("error", "tombstone")])
    hub.produce("trips_dlq", b"foreign")
    listed = desk.run("dlq", "list")
    assert "holds 1 messages that name no position" in listed.err
    assert ["tombstone", "2", "0"] in [line.split() for line in listed.text.splitlines()]
    shown = desk.run("dlq", "show", "0:0")
    assert ["value", "none"] in [line.split() for line in shown.text.splitlines()]
    raw = desk.run("dlq", "show", "0:0", "--raw")
    assert (raw.code, raw.err) == (1, "0:0: the message has no value\n")
    long = desk.run("dlq", "show", "0:1").text
    assert "... and 3,616 bytes more: --raw or --out FILE has them all" in long


def test_what_cannot_be_used_is_told(hub: Hub, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 2, and what to do."""
    missing = desk.run("dlq", "list")
    assert (missing.code, "run `just topics`" in missing.err) == (2, True)
    hub.make_topics()
    assert desk.run("dlq", "list").code == 1
    assert desk.run("late", "replay").err == "no late trips to replay\n"
    monkeypatch.setenv("MOBILITY_WINDOW", "none")
    bad = desk.run("dlq", "list")
    assert (bad.code, "MOBILITY_WINDOW" in bad.err) == (2, True)
