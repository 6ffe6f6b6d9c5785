"""Letters as lines of JSON: what `--json` prints, and what `--with FILE` reads back."""

import base64
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from corrections.letterbox import Found
from corrections.letters import Position, parse_position
from corrections.printable import printable
from mobility.times import iso_time

_LONGEST_SHOWN: Final = 80


@dataclass(frozen=True, slots=True)
class Supplied:
    """A corrected trip from a line of a file; `position` is None where the line names no letter."""

    line: int
    position: Position | None
    value: bytes


class LineError(ValueError):
    """Lines that are no corrected trips; the message names each."""


def as_line(found: Found, *, values: bool) -> str:
    """Return a letter as a line of ASCII JSON; with values, the trip can be edited in it."""
    letter = found.letter
    line: dict[str, Any] = {
        "position": str(letter.position),
        "topic": letter.topic,
        "time": iso_time(letter.time),
        "reason": letter.reason,
        "detail": letter.detail,
        "size": letter.size,
        "replayed": found.replayed,
    }
    if values:
        line |= _bytes("key", letter.key) | _value(letter.value)
    return json.dumps(line)


def read_lines(path: Path) -> list[Supplied]:
    """Read corrected trips, a JSON object a line; empty lines are skipped.

    A line is `{"position": "2:17", "trip": {...}}`, where further fields are ignored, or the trip
    itself. Raises LineError, and OSError where the file can't be read.
    """
    supplied: list[Supplied] = []
    faults: list[str] = []
    at: dict[Position, int] = {}
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                read = _read(number, line)
                _check_new(read, at)
            except (ValueError, RecursionError) as error:
                faults.append(f"line {number}: {error}")
                continue
            supplied.append(read)
    if faults:
        raise LineError("\n".join(faults))
    return supplied


def _read(number: int, line: bytes) -> Supplied:
    record = _decoded(line)
    if not isinstance(record, dict):
        msg = "expected a JSON object"
        raise ValueError(msg)  # noqa: TRY004 - it is the line that is wrong
    if "position" not in record:
        return Supplied(number, None, line.strip())
    position = parse_position(printable(str(record["position"]))[:_LONGEST_SHOWN])
    if not isinstance(record.get("trip"), dict):
        msg = f'{position}: no trip; write the corrected one as the object "trip"'
        raise ValueError(msg)  # noqa: TRY004 - as above
    return Supplied(number, position, json.dumps(record["trip"], separators=(",", ":")).encode())


def _check_new(read: Supplied, at: dict[Position, int]) -> None:
    if read.position is None:
        return
    first = at.setdefault(read.position, read.line)
    if first != read.line:
        msg = f"{read.position} is corrected in line {first} already"
        raise ValueError(msg)


def _value(value: bytes | None) -> dict[str, Any]:
    """Return the original as an object to edit; as text or base64 where it is none."""
    if value is None:
        return {"text": None}
    try:
        trip = _decoded(value)
        if isinstance(trip, dict):
            # Strict JSON only: the line shall be readable everywhere.
            json.dumps(trip, allow_nan=False)
            return {"trip": trip}
    except (ValueError, RecursionError):
        pass
    return _bytes("text", value)


def _bytes(name: str, data: bytes | None) -> dict[str, str | None]:
    if data is None:
        return {name: None}
    try:
        return {name: data.decode()}
    except UnicodeDecodeError:
        return {f"{name}_base64": base64.b64encode(data).decode()}


def _decoded(text: bytes) -> object:
    """Read JSON; of equal keys the first wins, as everywhere."""
    return json.loads(text.decode(), object_pairs_hook=_first_wins)


def _first_wins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    record: dict[str, Any] = {}
    for key, value in pairs:
        record.setdefault(key, value)
    return record
