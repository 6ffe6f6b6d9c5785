"""A trip in an envelope is the trip that it would be in plain JSON, and costs no look at it."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mobility import trips
from mobility.json_members import member_spans
from mobility.trips import decode_trips, read_trip
from mobility.validation import Rejection, TripRules, validate
from mobility.value_settings import Value
from mobility.values import FORMATS, ValueFormat
from tests.envelopes import WRAPS, change, in_schema, wraps
from tests.odd import nested, with_member
from tests.strategies import good_messages, messages, odd_messages

TRIP = b'{"trip_id":"t","start_time":1735732800000,"duration_min":5,"distance_km":2,"price":9.5}'

ENVELOPES: tuple[Value, ...] = ("connect-json", "debezium")


def one_by_one(
    values: Sequence[bytes | None], rules: TripRules, form: ValueFormat
) -> tuple[list[dict[str, Any]], list[tuple[int, str, str]]]:
    """Return the trips and rejections of single messages."""
    found, rejected = [], []
    for row, value in enumerate(values):
        try:
            found.append({"row": row, **read_trip(value, rules, form)[1]})
        except Rejection as rejection:
            rejected.append((row, str(rejection.reason), rejection.detail))
    return found, rejected


wrapped_messages = st.builds(lambda wrap, value: wrap(value or b""), wraps, messages)


@given(
    st.sampled_from(ENVELOPES),
    st.lists(wrapped_messages | messages, max_size=12),
    st.builds(
        TripRules, st.sampled_from(("start", "end")), max_bytes=st.sampled_from((900, 1 << 20))
    ),
)
def test_a_batch_is_read_as_its_messages_one_by_one(
    name: Value, values: list[bytes | None], rules: TripRules
) -> None:
    """Whatever envelopes stand beside each other, whole and broken."""
    form = FORMATS[name]
    decoded = decode_trips(values, rules, form)
    expected, rejected = one_by_one(values, rules, form)
    assert repr(decoded.trips.to_dicts()) == repr(expected)
    assert decoded.rejected.rows() == rejected
    for row in decoded.trips["row"]:
        found = decoded.objects[row]
        assert found is not None
        assert found.strip() == read_trip(values[row], rules, form)[0].strip()


@pytest.mark.parametrize("name", ENVELOPES)
@given(data=st.data())
def test_a_trip_is_what_it_would_be_in_plain_json(name: Value, data: st.DataObject) -> None:
    """The same numbers, or the same reason: of every object that JSON can hold."""
    drawn = data.draw(st.lists(good_messages | odd_messages | messages, max_size=15))
    plain = [value for value in drawn if value is not None and is_object(value)]
    wrapped = [data.draw(st.sampled_from(WRAPS[name]))(value) for value in plain]
    decoded = decode_trips(wrapped, TripRules(), FORMATS[name])
    expected = decode_trips(plain, TripRules())
    assert decoded.trips.to_dicts() == expected.trips.to_dicts()
    assert reasons(decoded.rejected.rows()) == reasons(expected.rejected.rows())


def is_object(value: bytes) -> bool:
    """Return whether a message is an object in JSON, with room for the levels of an envelope."""
    if value.count(b'{"k":') > 200:  # as `tests.odd.nested` writes them
        return False
    try:
        return isinstance(json.loads(value.decode()), dict)
    except (ValueError, RecursionError):
        return False


def reasons(rows: Sequence[tuple[int, str, str]]) -> list[tuple[int, str]]:
    """Return rejections without their details."""
    return [(row, reason) for row, reason, _ in rows]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("connect-json", in_schema(TRIP)),
        ("connect-json", in_schema(with_member('"note":"}, {é"')(TRIP))),
        ("debezium", change(TRIP)),
        ("debezium", change(TRIP, operation="r")),
        ("debezium", change(TRIP, TRIP, "u")),
        ("debezium", in_schema(change(TRIP, TRIP, "u"))),
        ("debezium", change(with_member('"tags":[{"source":{}}]')(TRIP))),
    ],
)
def test_what_connectors_write_is_read_by_columns(
    name: Value, value: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A feed of them alone is read without a look at any single message, and rightly."""
    form = FORMATS[name]
    found, expected = read_trip(value, TripRules(), form)
    monkeypatch.setattr(trips, "read_trip", None)
    decoded = decode_trips([value] * 50, TripRules(), form)
    assert decoded.trips.drop("row").to_dicts() == [expected] * 50
    assert list(decoded.objects) == [found] * 50


def test_schemas_follow_one_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is looked for in all messages of a batch."""
    monkeypatch.setattr(trips, "read_trip", None)
    values = [in_schema(TRIP, {"name": f"v{number % 10}"}) for number in range(100)]
    assert decode_trips(values, TripRules(), FORMATS["connect-json"]).trips.height == 100


@pytest.mark.parametrize(
    ("value", "reason", "told"),
    [
        (None, "tombstone", "no value"),
        (change(b"null", TRIP, "d"), "deleted", "op d: the row was deleted"),
        (in_schema(change(b"null", TRIP, "d")), "deleted", "op d: the row was deleted"),
        (b'{"source":{},"op":"t","ts_ms":1}', "deleted", "op t: the table was emptied"),
        (b'{"op":"m","ts_ms":1,"source":{},"message":{}}', "not_envelope", "'m'"),
        (b'{"op":"c","before":null}', "not_envelope", "'c'"),
        (change(b"null"), "not_object", "found null"),
        (TRIP, "not_envelope", "a trip in plain JSON, which MOBILITY_VALUE=json reads"),
        (in_schema(TRIP), "not_envelope", "Kafka Connect, with schema and payload, which MOBI"),
        (change(TRIP.replace(b"9.5", b"-1")), "negative", "price is -1"),
    ],
)
def test_what_is_no_row_says_why(value: bytes | None, reason: str, told: str) -> None:
    """A delete takes no trip away: it is a dead letter, as the tombstone behind it."""
    _, error, detail = decode_trips([value], TripRules(), FORMATS["debezium"]).rejected.row(0)
    assert error == reason
    assert told in detail


def test_a_message_is_measured_as_a_whole() -> None:
    """By its size and by its levels, whatever its trip has of them."""
    form, value = FORMATS["connect-json"], in_schema(TRIP)
    small = TripRules(max_bytes=len(value) - 1)
    assert decode_trips([value], small, form).rejected["error"].to_list() == ["oversized"]
    for levels, reason in ((499, []), (500, ["not_json"])):
        deep = in_schema(with_member(nested(levels))(TRIP), None)
        assert decode_trips([deep], TripRules(), form).rejected["error"].to_list() == reason
    assert validate(with_member(nested(500))(TRIP), TripRules())["revenue"]


@given(good_messages)
def test_members_are_where_they_are_said_to_be(message: bytes) -> None:
    """Each value alone is what it is in the object."""
    text = message.decode()
    spans = member_spans(text)
    record = json.loads(text)
    assert repr({name: json.loads(text[a:b]) for name, (a, b) in spans.items()}) == repr(
        {name: record[name] for name in spans}
    )
    assert spans.keys() == record.keys()
