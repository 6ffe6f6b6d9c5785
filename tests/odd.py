"""Ways to write a trip that a reader of many messages may stumble over.

Some leave the trip as it was, some make it another one, some make it none: what they make of it is
for `validate` to say. Each is a function of a message that holds an object.
"""

import json
from collections.abc import Callable
from typing import Final

from hypothesis import strategies as st

Oddity = Callable[[bytes], bytes]


def with_member(member: str) -> Oddity:
    """Put a member in front: of equal keys the first counts."""
    return lambda message: message.replace(b"{", b"{" + member.encode() + b",", 1)


def nested(levels: int) -> str:
    """Return a member that makes a message so many levels deep, in arrays and objects by turns."""
    inner = levels - 1
    opening = "".join("[" if level % 2 else '{"k":' for level in range(inner))
    closing = "".join("]" if level % 2 else "}" for level in reversed(range(inner)))
    return f'"deep":{opening}1{closing}'


def pretty(message: bytes) -> bytes:
    """Write an object over several lines."""
    return json.dumps(json.loads(message), indent=2).encode()


_POINTS: Final = ",".join("[40.7,-74]" for _ in range(600))

_HARMLESS: Final = (
    '"payment":{"method":"card","lines":[{"tip":1.5},[]]}',
    f'"trace":[{_POINTS}]',
    '"note":"' + "[{" * 400 + '"',
    r'"note":"\"[{\\"',
    r'"note":"\/\b\f\n\r\t\u00e9\u2028\ud83d\ude95"',
    ",".join(f'"field_{number}":{number}' for number in range(40)),
    '"user_id":5,"payment_type":true,"origin_id":1.5',
    '"pickup_time":"1736164800","gps_lat":"40.7"',
    '"other":{"driver_id":7,"start_time":"1","start_lat":"x","price":"1"}',
    '"note":"\x7f\x85\ufffe"',
)

_NUMBERS: Final = (
    *("1e3", "1E+2", "0.1e1", "-0", "-0.0", "1e-400", "1e400", "-1e400", "00", "1.", "NaN"),
    *("Infinity", str(2**63 - 1), str(2**63), str(2**64), str(-(2**63) - 1), str(10**30)),
    *("0e999", "0e99999999999999999999", "1e-99999999999999999999", "1e0000000000000000000001"),
    *(f"1{'0' * 38}e-38", f"0.{'0' * 400}1e401", "9007199254740992.5", "2.4703282292062328e-324"),
    *("9" * 39, "9" * 400, "9" * 5_000, "7.0", "1735732800000.5", "1.7357328e12", "1e15", "-0.5"),
)

_NUMBER_FIELDS: Final = ("note", "price", "start_lat", "start_location_id", "start_time")

_TEXTS: Final = (
    *(r"\ud800", r"\udc00", r"\\ud83d\ude95", r"\ud83d\\ude95", r"\ud83dx\ude95", r"\ud83d\ude95"),
    *(r"\u0000", r"\u0061", r"\u0031735732800000", "1735732800000", "1735732800000.5", "-5"),
    *("a\nb", "a\rb", "a\tb", "a\x1eb", "a\x00b", "true", "[1]", "{}", "7", "1e5"),
)

_TEXT_FIELDS: Final = ("note", "trip_id", "driver_id", "end_location_id", "start_time", "end_time")

_ESCAPED_NAMES: Final = (
    *(r'"driver\u005fid":7', r'"\u0074rip_id":7', r'"start\u005flat":"1"', r'"p\u0072ice":"1"'),
    *(r'"start_t\u0069me":"17"', r'"vehicle_typ\u0065":"car"', r'"start_location\u005Fid":7.0'),
)

_AROUND: Final[tuple[Oddity, ...]] = (
    lambda message: message + b"\n",
    lambda message: message + b"\r\n",
    lambda message: message + b",",
    lambda message: message + b"\xc2\xa0",
    lambda message: b" \n\t" + message,
    lambda message: b"\x0c" + message,
    lambda message: message + b"\x00",
    lambda message: message + b"\x1e" + message,
    lambda message: b"\x1e" + message,
)

written_oddly: st.SearchStrategy[Oddity] = st.one_of(
    st.sampled_from((*_HARMLESS, *_ESCAPED_NAMES)).map(with_member),
    st.builds(
        lambda field, number: with_member(f'"{field}":{number}'),
        st.sampled_from(_NUMBER_FIELDS),
        st.sampled_from(_NUMBERS),
    ),
    st.builds(
        lambda field, text: with_member(f'"{field}":"{text}"'),
        st.sampled_from(_TEXT_FIELDS),
        st.sampled_from(_TEXTS),
    ),
    st.sampled_from((2, 9, 10, 100, 499, 500, 501, 600)).map(nested).map(with_member),
    st.sampled_from(_AROUND),
)
"""What a producer may do to messages, knowingly or not."""


@st.composite
def _cut_or_filled(draw: st.DrawFn) -> Oddity:
    share = draw(st.floats(0, 1, exclude_max=True))
    junk = draw(
        st.sampled_from((None, b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\x00", b"\n", b"}", b","))
    )

    def spoil(message: bytes) -> bytes:
        cut = int(share * len(message))
        return message[:cut] if junk is None else message[:cut] + junk + message[cut:]

    return spoil


spoilt: st.SearchStrategy[Oddity] = _cut_or_filled() | st.sampled_from(
    (
        lambda message: b"\xef\xbb\xbf" + message,
        lambda message: message + b"\x00",
        lambda message: message + b"}",
        lambda message: message + message,
        lambda message: message + b" " + message,
        lambda message: message + b"\n" + message,
        lambda message: b"[" + message + b"]",
        lambda message: message.replace(b'"', b"'"),
        lambda message: message.replace(b"{", b'{"deep":' + b"[" * 3_000 + b"]" * 3_000 + b",", 1),
    )
)
"""What damages messages, or most of them."""
