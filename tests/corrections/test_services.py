"""Messages that a real flow rejects are listed, corrected, replayed and counted once."""

import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Message
from polars.testing import assert_frame_equal

from audit.topics import read_source_positions
from corrections.partitioner import partition_of
from mobility.entities import BY_NAME
from mobility.topics import dead_topic, late_topic
from tests.corrections.conftest import CommandLine
from tests.dataflows.conftest import PARTITIONS, Hub, trips_log
from tests.dataflows.doubles import batch_answer
from tests.dataflows.test_services import late_positions
from tests.strategies import MINUTE, NOON, Entry

pytestmark = pytest.mark.services

DRIVER, VEHICLE = BY_NAME["driver"], BY_NAME["vehicle_type"]

END = NOON + 119 * MINUTE
"""The highest event time of the logs of these tests."""

ESCAPES = b'{"price":"\x1b[2J\xe2\x80\xae","start_time":1,"duration_min":1,"distance_km":1}'
INVALID: dict[bytes, str] = {
    b"\xff\xfe": "not_utf8",
    b"{": "not_json",
    b"[1]": "not_object",
    b'{"start_time":"soon","duration_min":1,"distance_km":1,"price":1}': "bad_time",
    b'{"start_time":1,"duration_min":1,"distance_km":1,"price":-1}': "negative",
    b'{"start_time":4000000000000,"duration_min":1,"distance_km":1,"price":1}': "in_future",
    ESCAPES: "not_json",
}


def trip(entry: Entry, **fields: object) -> dict[str, Any]:
    """Return an entry as the object in its message."""
    made: dict[str, Any] = json.loads(entry.value or b"")
    return {name: value for name, value in made.items() if value is not None} | fields


def run_flow(hub: Hub) -> None:
    """Run the flow to the end of the log."""
    run = hub.run()
    assert run.returncode == 0, run.stderr[-3_000:]


def run_with_invalid(hub: Hub, seed: int) -> tuple[list[list[Entry]], list[str]]:
    """Let the flow read trips and invalid messages; return the trips and the others' positions."""
    log = [[entry for entry in entries if entry.trip_id] for entries in trips_log(seed)]
    hub.make_topics()
    hub.write([[*INVALID, *entries] for entries in log])
    run_flow(hub)
    return log, [f"{p}:{offset}" for p in range(PARTITIONS) for offset in range(len(INVALID))]


def assert_counted(hub: Hub, log: Sequence[Sequence[Entry]], extra: Sequence[Entry]) -> None:
    """Assert that the windows are those of the log and of extra trips, each counted once."""
    whole = [list(entries) for entries in log]
    for entry in extra:
        key = entry.driver or entry.trip_id or ""
        whole[partition_of(key.encode(), PARTITIONS)].append(entry)
    for entity in (DRIVER, VEHICLE):
        assert_frame_equal(hub.windows(entity), batch_answer(whole, entity, hub.settings))


def sent_after(hub: Hub, log: Sequence[Sequence[object]]) -> list[Message]:
    """Return the messages in the trips topic behind the log that the test has written."""
    return [
        message
        for message in hub.messages("trips_stream")
        if (message.offset() or 0) >= len(INVALID) + len(log[message.partition() or 0])
    ]


def test_dead_letters_are_corrected_and_counted_once(hub: Hub, cli: CommandLine) -> None:
    """A line of `list`, edited and replayed, counts once, also where it is replayed twice."""
    log, positions = run_with_invalid(hub, 21)
    listed = cli.run("dlq", "list", "--json", "--with-values")
    assert listed.code == 0
    lines = {line["position"]: line for line in listed.lines()}
    assert sorted(lines) == sorted(positions)
    reasons = list(INVALID.values())
    assert all(lines[each]["reason"] == reasons[int(each.split(":")[1])] for each in positions)

    extra = []
    for number, (position, line) in enumerate(sorted(lines.items())):
        trip_id = f"mine-{number}" if number % 3 else None
        entry = Entry(END - number * 1_000, trip_id, (None, "d1", "d99")[number % 3], "tram", 10**6)
        line["trip"] = trip(entry)
        source = f"{hub.settings.topic_prefix}trips_stream/{position.replace(':', '/')}"
        extra.append(Entry(entry.time, trip_id or source, entry.driver, "tram", 10**6))
    file = cli.file(*lines.values())

    first = cli.run("dlq", "replay", "--with", file)
    assert (first.code, first.err) == (0, "")
    assert first.text == f"{len(extra)} sent to {hub.settings.topic_prefix}trips_stream\n"
    again = cli.run("dlq", "replay", "--with", file)
    assert (again.code, again.out) == (1, b"")
    assert "--again" in again.err
    forced = cli.run("dlq", "replay", "--with", file, "--again")
    assert forced.code == 0

    sent = sent_after(hub, log)
    assert len(sent) == 2 * len(extra)
    assert all(m.partition() == partition_of(m.key() or b"", PARTITIONS) for m in sent)
    run_flow(hub)
    assert_counted(hub, log, extra)

    assert cli.run("dlq", "list").code == 1
    listed = cli.run("dlq", "list", "--json", "--all")
    assert [line["replayed"] for line in listed.lines()] == ["stream"] * len(positions)
    shown = cli.run("dlq", "show", "0:1").text
    assert ["replayed", "stream"] in [line.split() for line in shown.splitlines()]


def test_markers_do_not_disturb_the_comparison_with_the_oracle(hub: Hub, cli: CommandLine) -> None:
    """Whoever compares the topics takes a marker for neither a dead letter nor a late trip."""
    log, _ = run_with_invalid(hub, 22)
    before = {
        topic: read_source_positions(hub.settings, topic)
        for topic in (dead_topic(hub.settings), late_topic(hub.settings))
    }
    file = cli.file(trip(Entry(END, "mine", "d1")))
    assert cli.run("dlq", "replay", "1:1", "--with", file).code == 0
    assert cli.run("late", "replay").code == 0
    assert len(sent_after(hub, log)) == 1
    for topic, rows in before.items():
        assert len(hub.messages(topic[len(hub.settings.topic_prefix) :])) > rows.height > 0
        assert_frame_equal(read_source_positions(hub.settings, topic), rows, check_row_order=False)


def test_nothing_is_sent_where_one_would_be_rejected_again(hub: Hub, cli: CommandLine) -> None:
    """Each invalid line is reported with its reason, and the valid ones are not sent either."""
    log, _ = run_with_invalid(hub, 23)
    good = Entry(END, "good", "d1")
    file = cli.file(
        {"position": "0:0", "trip": trip(good)},
        {"position": "0:1", "trip": trip(good, price=-1)},
        {"position": "1:1", "trip": trip(good, start_time=4_000_000_000_000)},
    )
    refused = cli.run("dlq", "replay", "--with", file)
    assert (refused.code, refused.out) == (1, b"")
    assert "0:1 (line 2) would be rejected again: negative: price is -1" in refused.err
    assert "1:1 (line 3) would be rejected again: in_future" in refused.err
    assert "Nothing was sent." in refused.err
    far = cli.file({"position": "0:0", "trip": trip(good, start_time=END + 2 * 60 * MINUTE)})
    refused = cli.run("dlq", "replay", "--with", far)
    assert refused.code == 1
    assert "0:0 would make other trips late" in refused.err
    refused = cli.run("dlq", "replay", "0:0", "7:7")
    assert (refused.code, "7:7: no such message" in refused.err) == (1, True)
    refused = cli.run("dlq", "replay", "--reason", "negative")
    assert refused.code == 1
    assert refused.err.count("would be rejected again: negative") == PARTITIONS
    assert sent_after(hub, log) == []
    assert len(hub.messages("trips_dlq")) == PARTITIONS * len(INVALID)


def test_corrections_of_closed_windows_are_for_a_backfill(hub: Hub, cli: CommandLine) -> None:
    """What would be late is written to a file as it would be sent; the command is printed."""
    log, _ = run_with_invalid(hub, 24)
    old = Entry(NOON + 7 * MINUTE, None, "d1", "tram", 10**6)
    older = Entry(NOON + 1 * MINUTE, "old", "d2", "tram", 10**6)
    fresh = Entry(END, "fresh", "d1", "tram", 10**6)
    file = cli.file(
        {"position": "0:0", "trip": trip(old)},
        {"position": "1:0", "trip": trip(older)},
        {"position": "2:0", "trip": trip(fresh)},
    )
    done = cli.run("dlq", "replay", "--with", file, "--out", "out/file of mine.ndjson")
    assert done.code == 0, done.err
    (command,) = [line.strip() for line in done.text.splitlines() if "just backfill" in line]
    assert command == (
        "just backfill --from 2025-01-01T12:00:00Z --to 2025-01-01T12:10:00Z "
        "--with 'out/file of mine.ndjson'"
    )
    assert "not all of these" not in done.text.lower()
    path = Path("out/file of mine.ndjson")
    assert path.stat().st_mode & 0o777 == 0o600
    made = [json.loads(line) for line in path.read_bytes().splitlines()]
    source = f"{hub.settings.topic_prefix}trips_stream/0/0"
    expected = [{"trip_id": source, **trip(old)}, trip(older)]
    assert sorted(made, key=lambda each: each["driver_id"]) == expected

    run_flow(hub)
    assert_counted(hub, log, [fresh])
    shown = cli.run("dlq", "list", "--json", "--all").lines()
    hows = {line["position"]: line["replayed"] for line in shown if line["replayed"]}
    backfill = f"backfill:{path.absolute()}"
    assert hows == {"0:0": backfill, "1:0": backfill, "2:0": "stream"}
    refused = cli.run("dlq", "replay", "--with", file, "--again", "--out", path)
    assert (refused.code, "File exists" in refused.err) == (2, True)


def test_late_trips_are_for_a_backfill_as_they_are(hub: Hub, cli: CommandLine) -> None:
    """The command names the windows of all late trips; again only with --again."""
    log = trips_log(25)
    hub.make_topics()
    hub.write(log)
    run_flow(hub)
    places = late_positions(log, hub.settings)
    late = [log[partition][offset] for partition, offset in sorted(places)]
    listed = cli.run("late", "list", "--json").lines()
    assert {line["position"] for line in listed} == {f"{p}:{o}" for p, o in places}
    table = cli.run("late", "list", "--limit", 2)
    assert "Shown are the newest 2" in table.text

    done = cli.run("late", "replay")
    assert done.code == 0, done.err
    (command,) = [line.strip() for line in done.text.splitlines() if "just backfill" in line]
    words = shlex.split(command)
    window = hub.settings.window_ms
    first, last = min(e.time for e in late), max(e.time for e in late)
    times = {w: words[words.index(w) + 1] for w in ("--from", "--to", "--with")}
    assert times["--from"] == iso_of(first // window * window)
    assert times["--to"] == iso_of(last // window * window + window)
    messages = Path(times["--with"]).read_bytes().splitlines()
    assert sorted(messages) == sorted(e.value or b"" for e in late if e.trip_id is not None)
    assert len(hub.messages("trips_stream")) == sum(map(len, log))

    assert cli.run("late", "replay").code == 1
    assert cli.run("late", "list").code == 1
    assert cli.run("late", "replay", "--again", "--partition", 0).code == 0
    assert len(cli.run("late", "list", "--all", "--json").lines()) == len(places)


def iso_of(ms: int) -> str:
    """Return a time on the day of these tests as text, without the code under test."""
    minutes, seconds = divmod((ms - NOON) // 1_000, 60)
    return f"2025-01-01T{12 + minutes // 60:02}:{minutes % 60:02}:{seconds:02}Z"


def test_a_message_is_shown_without_controlling_the_terminal(hub: Hub, cli: CommandLine) -> None:
    """Escape sequences are escaped; --raw and --out write the exact bytes."""
    run_with_invalid(hub, 26)
    values = list(INVALID)
    position = f"1:{values.index(ESCAPES)}"
    shown = cli.run("dlq", "show", position)
    assert shown.code == 0
    assert r"\x1b[2J\u202e" in shown.text
    assert b"\x1b" not in shown.out
    assert "\u202e" not in shown.text
    assert "key-1" in shown.text
    assert r"\xff\xfe" in cli.run("dlq", "show", "0:0").text
    for offset, value in enumerate(values):
        assert cli.run("dlq", "show", f"2:{offset}", "--raw").out == value
    assert cli.run("dlq", "show", position, "--out", "one").code == 0
    assert Path("one").read_bytes() == ESCAPES
    (line,) = cli.run("dlq", "show", "0:0", "--json").lines()
    assert line["text_base64"] == "//4="
    assert cli.run("dlq", "show", "0:99").code == 1
    listed = cli.run("dlq", "list")
    assert b"\x1b" not in listed.out
    assert "bad_time" in listed.text


def test_filters_select_messages(hub: Hub, cli: CommandLine) -> None:
    """By reason, partition and time of writing; what is delivered twice is listed once."""
    _, positions = run_with_invalid(hub, 27)
    # The flow starts from the beginning, as after the loss of its recovery folder.
    hub.recovery = hub.recovery.with_name("other")
    run_flow(hub)
    assert len(hub.messages("trips_dlq")) == 2 * len(positions)

    def listed(*filters: object) -> list[str]:
        return [line["position"] for line in cli.run("dlq", "list", "--json", *filters).lines()]

    assert sorted(listed()) == sorted(positions)
    assert sorted(listed("--reason", "negative", "--partition", 2)) == ["2:4"]
    assert len(listed("--reason", "negative", "--reason", "not_object")) == 2 * PARTITIONS
    assert len(listed("--limit", 2)) == 2
    times = sorted(line["time"] for line in cli.run("dlq", "list", "--json").lines())
    assert listed("--to", times[0]) == []
    assert sorted(listed("--from", times[0])) == sorted(positions)
    assert listed("--from", "2999-01-01T00:00Z") == []
    summary = cli.run("dlq", "list", "--limit", 1).text
    assert ["negative", str(PARTITIONS), "0"] in [line.split() for line in summary.splitlines()]
