"""The state file of a replay: what is saved from one start to the next."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from mobility.files import write_atomically
from producer.batches import FilePosition
from producer.trips_file import TripsFile


class ReplayStateError(Exception):
    """A state file that this replay can't use; the message says what to do."""


@dataclass(frozen=True, slots=True)
class ReplaySource:
    """The file and options that positions belong to, and the topic that trips were sent to."""

    rows: int
    first: int
    last: int
    event_time: str
    as_is: bool
    rebased: bool
    topic: str
    cluster: str

    @classmethod
    def of(
        cls,
        file: TripsFile,
        *,
        topic: str,
        cluster: str,
        event_time: str,
        as_is: bool,
        rebased: bool,
    ) -> "ReplaySource":
        """Return the source of a replay, by which it is recognised."""
        return cls(
            rows=file.rows,
            first=file.first,
            last=file.last,
            event_time=event_time,
            as_is=as_is,
            rebased=rebased,
            topic=topic,
            cluster=cluster,
        )


@dataclass(frozen=True, slots=True)
class ReplayState:
    """The shift of a replay's times in ms, and the position up to which Kafka has confirmed it.

    `ends` are the next offsets of the partitions at that position, so what is beyond them was sent
    later; None in a file of release 0.1. Field names, here and in what it holds, are those of the
    state file.
    """

    source: ReplaySource
    shift: int
    position: FilePosition
    ends: dict[int, int] | None = None


def read_state(path: Path, source: ReplaySource) -> ReplayState | None:
    """Return the saved state, None if there is no file yet.

    Raises ReplayStateError if the file is invalid or belongs to another replay.
    """
    try:
        found = json.loads(path.read_bytes())
        state = ReplayState(
            ReplaySource(**found["source"]),
            int(found["shift"]),
            FilePosition(**found["position"]),
            _offsets(found.get("ends")),
        )
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        msg = f"{path}: not a valid state file ({error}): remove it to start from the beginning"
        raise ReplayStateError(msg) from error
    if state.source != source:
        ours, theirs = asdict(source), asdict(state.source)
        differences = ", ".join(
            f"{name} was {theirs[name]} and is {ours[name]}"
            for name in ours
            if ours[name] != theirs[name]
        )
        msg = (
            f"{path} belongs to another replay ({differences}): remove it to start from the "
            "beginning"
        )
        raise ReplayStateError(msg)
    return state


def _offsets(found: dict[str, int] | None) -> dict[int, int] | None:
    if found is None:
        return None
    return {int(partition): int(offset) for partition, offset in found.items()}


def write_state(path: Path, state: ReplayState) -> None:
    """Replace the state file atomically, so that a crash leaves the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, json.dumps(asdict(state)), durable=True)
