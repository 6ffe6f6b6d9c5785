"""Letters as lines: what is printed can be edited and read back."""

import json
from pathlib import Path

import pytest
from hypothesis import given

from corrections.letterbox import Found
from corrections.letters import Letter, Position
from corrections.lines import LineError, as_line, read_lines
from mobility.validation import Rejection, TripRules, inspect
from tests.strategies import good_messages, messages


def letter(value: bytes | None, key: bytes | None = b"k") -> Letter:
    """Return a letter of the log's position 2:17."""
    headers = (("topic", b"t"), ("partition", b"2"), ("offset", b"17"), ("error", b"not_json"))
    return Letter("t", Position(2, 17), 1_735_732_800_500, "not_json", "why", key, value, headers)


def test_a_line_names_the_letter_and_says_what_became_of_it() -> None:
    """Values only where they are asked for."""
    line = as_line(Found(letter(b"{"), "stream"), values=False)
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
def test_a_value_is_an_object_to_edit_or_its_text(value: bytes | None, shown: object) -> None:
    """And the line is printable ASCII in any case."""
    line = as_line(Found(letter(value, b"\xfe"), None), values=True)
    assert line.isascii()
    assert line.isprintable()
    made = json.loads(line)
    assert made["key_base64"] == "/g=="
    assert {name: made[name] for name in made if name.startswith(("trip", "text"))} == shown


@given(good_messages())
def test_a_good_trip_goes_out_and_comes_back_as_the_same_trip(message: bytes) -> None:
    """Editing nothing changes nothing that counts."""
    rules = TripRules()
    expected = inspect(message, rules)
    made = json.loads(as_line(Found(letter(message), None), values=True))
    if "trip" not in made:  # an unknown field held NaN
        return
    assert inspect(json.dumps(made["trip"]).encode(), rules) == expected


@given(messages)
def test_a_dead_letter_comes_back_with_its_fault(message: bytes | None) -> None:
    """What is printed of a broken trip is broken in the same way."""
    made = json.loads(as_line(Found(letter(message), None), values=True))
    if not isinstance(made.get("trip"), dict):
        return
    rules = TripRules()
    assert verdict(json.dumps(made["trip"]).encode(), rules) == verdict(message, rules)


def verdict(message: bytes | None, rules: TripRules) -> object:
    """Return the trip or the reason."""
    try:
        return inspect(message, rules)
    except Rejection as rejection:
        return rejection.reason


def test_lines_are_read_with_their_numbers(tmp_path: Path) -> None:
    """Wrapped or bare; of further fields nothing is asked, and empty lines are none."""
    path = tmp_path / "lines"
    trip = b'{"price":0.1,"note":"\\u00e9"}'
    path.write_bytes(b'{"position":"2:17","reason":"x","trip":%b}\n\n {"price":1}\r\n' % trip)
    one, two = read_lines(path)
    assert (one.line, one.position, two.line, two.position) == (1, Position(2, 17), 3, None)
    assert one.value == trip
    assert two.value == b'{"price":1}'


def test_every_line_that_is_wrong_is_named(tmp_path: Path) -> None:
    """What stands there, and what should."""
    path = tmp_path / "lines"
    path.write_bytes(
        b'{\n[]\n{"position":"x\x1b","trip":{}}\n{"position":"1:2"}\n\xff\n'
        b'{"position":"1:3","trip":{}}\n{"position":"1:3","trip":{}}\n'
    )
    with pytest.raises(LineError) as caught:
        read_lines(path)
    lines = str(caught.value).splitlines()
    assert [line.split(":")[0] for line in lines] == [f"line {n}" for n in (1, 2, 3, 4, 5, 7)]
    assert "expected a JSON object" in lines[1]
    assert lines[3] == 'line 4: 1:2: no trip; write the corrected one as the object "trip"'
    assert lines[5] == "line 7: 1:3 is corrected in line 6 already"
