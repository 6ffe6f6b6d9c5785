"""Rejected messages as lines of JSON: what is printed can be edited and read back."""

import json
from pathlib import Path

import pytest
from hypothesis import given

from corrections.json_lines import InvalidLinesError, read_corrected_trips, to_json_line
from corrections.rejected_topic import ListedMessage
from mobility.rejected_messages import RejectedMessage, SourcePosition
from mobility.validation import Rejection, TripRules, validate
from mobility.values import JSON
from tests.strategies import good_messages, messages


def rejected_message(value: bytes | None, key: bytes | None = b"k") -> RejectedMessage:
    """Return a rejected message of the source position 2:17."""
    headers = (("topic", b"t"), ("partition", b"2"), ("offset", b"17"), ("error", b"not_json"))
    return RejectedMessage(
        "t", SourcePosition(2, 17), 1_735_732_800_500, "not_json", "why", key, value, headers
    )


def test_a_line_describes_a_message_and_how_it_was_replayed() -> None:
    """Without values where they are not asked for."""
    line = to_json_line(ListedMessage(rejected_message(b"{"), "stream"), None)
    assert json.loads(line) == {
        "position": "2:17",
        "topic": "t",
        "time": "2025-01-01T12:00:00.500Z",
        "reason": "not_json",
        "detail": "why",
        "size": 1,
        "replayed": "stream",
    }


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (b'{"price":1,"price":2}', {"trip": {"price": 1}}),
        (b"[]", {"text": "[]"}),
        ("\x1b\u202e".encode(), {"text": "\x1b\u202e"}),
        (b"\xff", {"text_base64": "/w=="}),
        (b'{"price":NaN}', {"text": '{"price":NaN}'}),
        (b'{"a":' * 100_000, {"text": '{"a":' * 100_000}),
        (None, {"text": None}),
    ],
)
def test_a_value_is_an_object_to_edit_or_text(value: bytes | None, shown: object) -> None:
    """The line is printable ASCII in any case."""
    line = to_json_line(ListedMessage(rejected_message(value, b"\xfe"), None), JSON)
    assert line.isascii()
    assert line.isprintable()
    made = json.loads(line)
    assert made["key_base64"] == "/g=="
    assert {name: made[name] for name in made if name.startswith(("trip", "text"))} == shown


@given(good_messages)
def test_a_valid_trip_is_the_same_after_printing(message: bytes) -> None:
    """The known fields of a trip do not change where nobody edits them."""
    rules = TripRules()
    expected = validate(message, rules)
    made = json.loads(to_json_line(ListedMessage(rejected_message(message), None), JSON))
    if "trip" not in made:  # an unknown field held NaN
        return
    assert validate(json.dumps(made["trip"]).encode(), rules) == expected


@given(messages)
def test_an_invalid_trip_has_the_same_fault_after_printing(
    message: bytes | None,
) -> None:
    """Printing repairs nothing."""
    made = json.loads(to_json_line(ListedMessage(rejected_message(message), None), JSON))
    if not isinstance(made.get("trip"), dict):
        return
    rules = TripRules()
    assert trip_or_reason(json.dumps(made["trip"]).encode(), rules) == trip_or_reason(
        message, rules
    )


def trip_or_reason(message: bytes | None, rules: TripRules) -> object:
    """Return the trip of a message, or the reason why it is none."""
    try:
        return validate(message, rules)
    except Rejection as rejection:
        return rejection.reason


def test_lines_are_read_with_their_numbers(tmp_path: Path) -> None:
    """With a position or bare; other fields are ignored, and empty lines are skipped."""
    path = tmp_path / "lines"
    trip = b'{"price":0.1,"note":"\\u00e9"}'
    path.write_bytes(b'{"position":"2:17","reason":"x","trip":%b}\n\n {"price":1}\r\n' % trip)
    one, two = read_corrected_trips(path)
    assert (one.line, one.position, two.line, two.position) == (1, SourcePosition(2, 17), 3, None)
    assert one.value == trip
    assert two.value == b'{"price":1}'


def test_every_invalid_line_is_reported(tmp_path: Path) -> None:
    """With its number and what was expected."""
    path = tmp_path / "lines"
    path.write_bytes(
        b'{\n[]\n{"position":"x\x1b","trip":{}}\n{"position":"1:2"}\n\xff\n'
        b'{"position":"1:3","trip":{}}\n{"position":"1:3","trip":{}}\n'
    )
    with pytest.raises(InvalidLinesError) as caught:
        read_corrected_trips(path)
    lines = str(caught.value).splitlines()
    assert [line.split(":")[0] for line in lines] == [f"line {n}" for n in (1, 2, 3, 4, 5, 7)]
    assert "expected a JSON object" in lines[1]
    assert lines[3] == 'line 4: 1:2: no trip; write the corrected one as the object "trip"'
    assert lines[5] == "line 7: 1:3 is corrected in line 6 already"
