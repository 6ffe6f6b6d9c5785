"""The commands on rejected messages that a test has written; no flow runs here."""

import json
from pathlib import Path
from typing import Final

import pytest

from broker.producer import CheckedProducer
from mobility.topics import dead_topic, late_topic, trips_topic
from tests.corrections.conftest import CommandLine
from tests.corrections.test_correction import message
from tests.dataflows.conftest import Hub
from tests.strategies import MINUTE, NOON, Entry

pytestmark = pytest.mark.services

DEAD: Final = [("error", "negative"), ("detail", "price is -1")]


def reject(hub: Hub, topic: str, *values: bytes | None, headers: list[tuple[str, str]]) -> None:
    """Write rejected messages as the flow does, of the source positions 0:0, 0:1 and so on."""
    producer = CheckedProducer(hub.settings, "test")
    for offset, value in enumerate(values):
        position = [
            ("topic", trips_topic(hub.settings)),
            ("partition", "0"),
            ("offset", str(offset)),
        ]
        producer.send(topic, [b"key"], [value], [[*position, *headers]])
    producer.flush()


def test_lines_and_arguments_must_name_the_same_messages(hub: Hub, cli: CommandLine) -> None:
    """Otherwise a message would be sent that nobody asked for."""
    hub.make_topics()
    reject(hub, dead_topic(hub.settings), b"{", message(), headers=DEAD)
    good = json.loads(message())
    for file, arguments, word in (
        (cli.file(), [], "holds no corrected trip"),
        (cli.file(good), [], "line 1: a trip without a position"),
        (cli.file(good, good), ["0:0"], "line 1: a trip without a position"),
        (cli.file({"position": "0:0", "trip": good}), ["0:1"], "line 1 corrects 0:0"),
        (cli.file({"position": "0:0"}), [], "line 1: 0:0: no trip"),
    ):
        refused = cli.run("dlq", "replay", *arguments, "--with", file)
        assert (refused.code, refused.out) == (1, b"")
        assert word in refused.err
        assert "Nothing was sent." in refused.err
    missing = cli.run("dlq", "replay", "--with", "nowhere")
    assert (missing.code, missing.err) == (2, "nowhere: No such file or directory\n")
    assert hub.messages("trips_stream") == []
    assert cli.run("dlq", "replay", "0:1").code == 0
    (sent,) = hub.messages("trips_stream")
    assert json.loads(sent.value() or b"") == {"trip_id": (sent.key() or b"").decode(), **good}


def test_windows_that_are_not_complete_are_reported(hub: Hub, cli: CommandLine) -> None:
    """A partition that is behind delays the backfill; late trips without a trip_id get no file."""
    hub.make_topics()
    hub.write([[Entry(NOON + 120 * MINUTE, "new")], [Entry(NOON + 20 * MINUTE, "slow")], []])
    reject(hub, late_topic(hub.settings), message(), message(), headers=[])
    done = cli.run("late", "replay")
    assert done.code == 0
    assert done.text.splitlines()[1:] == [
        "  just backfill --from 2025-01-01T12:00:00Z --to 2025-01-01T12:05:00Z",
        "Not all of these windows are complete yet: run it when they are.",
    ]
    assert not Path(".mobility").exists()
    hub.write([[], [], [Entry(NOON + 120 * MINUTE, "third")]])
    done = cli.run("late", "replay", "--again")
    assert "Not all of these windows" not in done.text


def test_a_tombstone_and_a_foreign_message(hub: Hub, cli: CommandLine) -> None:
    """A tombstone is listed too; what has no source position is reported, not hidden."""
    hub.make_topics()
    reject(hub, dead_topic(hub.settings), None, b"{" * 20_000, headers=[("error", "tombstone")])
    hub.produce("trips_dlq", b"foreign")
    listed = cli.run("dlq", "list")
    assert "holds 1 messages without a position in" in listed.err
    assert ["tombstone", "2", "0"] in [line.split() for line in listed.text.splitlines()]
    shown = cli.run("dlq", "show", "0:0")
    assert ["value", "none"] in [line.split() for line in shown.text.splitlines()]
    raw = cli.run("dlq", "show", "0:0", "--raw")
    assert (raw.code, raw.err) == (1, "0:0: the message has no value\n")
    long = cli.run("dlq", "show", "0:1").text
    assert "... and 3,616 bytes more: --raw or --out FILE has them all" in long


def test_a_command_that_cannot_begin_says_why(
    hub: Hub, cli: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The exit code is 2, and the error says what to do."""
    missing = cli.run("dlq", "list")
    assert (missing.code, "`just topics`" in missing.err) == (2, True)
    hub.make_topics()
    assert cli.run("dlq", "list").code == 1
    assert cli.run("late", "replay").err == "no late trips to replay\n"
    monkeypatch.setenv("MOBILITY_WINDOW", "none")
    bad = cli.run("dlq", "list")
    assert (bad.code, "MOBILITY_WINDOW" in bad.err) == (2, True)
