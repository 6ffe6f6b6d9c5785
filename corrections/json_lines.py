"""Rejected messages as lines of JSON: what `--json` prints, and what `--with FILE` reads."""

import base64
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from corrections.rejected_topic import ListedMessage
from mobility.printable import printable
from mobility.rejected_messages import SourcePosition, parse_position
from mobility.times import iso_time
from mobility.validation import Rejection
from mobility.values import ValueFormat

_MAX_SHOWN: Final = 80


@dataclass(frozen=True, slots=True)
class CorrectedTrip:
    """A corrected trip from a line of a file; `position` is None where the line names none."""

    line: int
    position: SourcePosition | None
    value: bytes


class InvalidLinesError(ValueError):
    """A file has lines that are not corrected trips; the message names each line."""


def to_json_line(listed: ListedMessage, form: ValueFormat | None) -> str:
    """Return a rejected message as a line of ASCII JSON.

    With the `form` of messages the line has the value too, where its trip can be edited.
    """
    message = listed.message
    line: dict[str, Any] = {
        "position": str(message.position),
        "topic": message.topic,
        "time": iso_time(message.time),
        "reason": message.reason,
        "detail": message.detail,
        "size": message.size,
        "replayed": listed.replayed,
    }
    if form is not None:
        line |= _bytes_field("key", message.key) | _value_field(message.value, form)
    return json.dumps(line)


def read_corrected_trips(path: Path) -> list[CorrectedTrip]:
    """Read corrected trips, one JSON object per line; empty lines are skipped.

    A line is `{"position": "2:17", "trip": {...}}`, where other fields are ignored, or the trip
    itself. Raises InvalidLinesError, and OSError where the file can't be read.
    """
    trips: list[CorrectedTrip] = []
    faults: list[str] = []
    first_lines: dict[SourcePosition, int] = {}
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                trip = _parse_line(number, line)
                _check_unique(trip, first_lines)
            except (ValueError, RecursionError) as error:
                faults.append(f"line {number}: {error}")
                continue
            trips.append(trip)
    if faults:
        raise InvalidLinesError("\n".join(faults))
    return trips


def _parse_line(number: int, line: bytes) -> CorrectedTrip:
    record = _decode(line)
    if not isinstance(record, dict):
        msg = "expected a JSON object"
        raise ValueError(msg)  # noqa: TRY004 - the line is wrong, not the program
    if "position" not in record:
        return CorrectedTrip(number, None, line.strip())
    position = parse_position(printable(str(record["position"]))[:_MAX_SHOWN])
    if not isinstance(record.get("trip"), dict):
        msg = f'{position}: no trip; write the corrected one as the object "trip"'
        raise ValueError(msg)  # noqa: TRY004 - as above
    value = json.dumps(record["trip"], separators=(",", ":")).encode()
    return CorrectedTrip(number, position, value)


def _check_unique(trip: CorrectedTrip, first_lines: dict[SourcePosition, int]) -> None:
    if trip.position is None:
        return
    first = first_lines.setdefault(trip.position, trip.line)
    if first != trip.line:
        msg = f"{trip.position} is corrected in line {first} already"
        raise ValueError(msg)


def _value_field(value: bytes | None, form: ValueFormat) -> dict[str, Any]:
    """Return the trip in the value as an object to edit, else the value as text or base64."""
    if value is None:
        return {"text": None}
    try:
        trip = _decode(form.object_of(value))
        if isinstance(trip, dict):
            # Strict JSON only (no NaN), so that every JSON reader can read the line.
            json.dumps(trip, allow_nan=False)
            return {"trip": trip}
    except (Rejection, ValueError, RecursionError):
        pass
    return _bytes_field("text", value)


def _bytes_field(name: str, data: bytes | None) -> dict[str, str | None]:
    if data is None:
        return {name: None}
    try:
        return {name: data.decode()}
    except UnicodeDecodeError:
        return {f"{name}_base64": base64.b64encode(data).decode()}


def _decode(text: bytes) -> object:
    """Decode JSON; of equal keys the first counts, as in `mobility.validation`, in their order."""
    return json.loads(text.decode(), object_pairs_hook=_first_wins)


def _first_wins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    record: dict[str, Any] = {}
    for key, value in pairs:
        record.setdefault(key, value)
    return record
