"""What a replay remembers between two starts, in a file of its own."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from mobility.files import write_atomically
from producer.batches import Position
from producer.feed import Feed
from producer.outlet import TopicAt


class StateError(Exception):
    """A state file that is of no use for this replay; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Source:
    """What the positions of a state file are positions in, and where its trips went."""

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
        cls, feed: Feed, topic: TopicAt, *, event_time: str, as_is: bool, rebased: bool
    ) -> "Source":
        """Return what tells this replay from others."""
        return cls(
            rows=feed.rows,
            first=feed.first,
            last=feed.last,
            event_time=event_time,
            as_is=as_is,
            rebased=rebased,
            topic=topic.name,
            cluster=topic.cluster,
        )


@dataclass(frozen=True, slots=True)
class State:
    """How far a replay got: the shift of its times in ms, and what of it Kafka has confirmed."""

    source: Source
    shift: int
    position: Position


def read_state(path: Path, source: Source) -> State | None:
    """Return the state that is kept at a path, None where there is none yet.

    Raises StateError where the file is broken or tells of another replay.
    """
    try:
        found = json.loads(path.read_bytes())
        state = State(Source(**found["source"]), int(found["shift"]), Position(**found["position"]))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        msg = f"{path}: not a state file that can be read ({error}): remove it to start afresh"
        raise StateError(msg) from error
    if state.source != source:
        ours, theirs = asdict(source), asdict(state.source)
        differences = ", ".join(
            f"{name} was {theirs[name]} and is {ours[name]}"
            for name in ours
            if ours[name] != theirs[name]
        )
        msg = f"{path} tells of another replay ({differences}): remove it to start afresh"
        raise StateError(msg)
    return state


def write_state(path: Path, state: State) -> None:
    """Replace the state file in one step, so that a crash leaves the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, json.dumps(asdict(state)), durable=True)
