"""How far files are loaded, as the producer has saved it."""

from pathlib import Path

import msgspec


class LoadSource(msgspec.Struct, frozen=True):
    """The number of trips, and their earliest and latest event time (epoch ms)."""

    rows: int
    first: int
    last: int


class LoadPosition(msgspec.Struct, frozen=True):
    """How many trips Kafka has confirmed."""

    row: int


class LoadState(msgspec.Struct, frozen=True):
    """What the state file of the producer says; other fields of it are skipped."""

    source: LoadSource
    position: LoadPosition

    @property
    def is_complete(self) -> bool:
        """Whether Kafka has confirmed every trip."""
        return self.position.row == self.source.rows

    def plus(self, other: "LoadState") -> "LoadState":
        """Return the state of the trips of both."""
        source = LoadSource(
            self.source.rows + other.source.rows,
            min(self.source.first, other.source.first),
            max(self.source.last, other.source.last),
        )
        return LoadState(source, LoadPosition(self.position.row + other.position.row))


def read_load_state(path: Path) -> LoadState | None:
    """Return what a state file says; None before the first trip."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=LoadState)
    except FileNotFoundError:
        return None
