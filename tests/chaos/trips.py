"""An endless stream of messages from a seed: trips in disorder, repeats, late and broken ones."""

import json
import random
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

MINUTE: Final = 60_000

POISON: Final[tuple[bytes | None, ...]] = (None, b"\xff\xfe", b"{", b"[]", b'{"price":NaN}')

_REMEMBERED: Final = 50
_VEHICLES: Final = (None, "car", "bike", "scooter")


@dataclass(frozen=True, slots=True)
class Sent:
    """A message on its way to a partition of the log."""

    partition: int
    value: bytes | None


@dataclass(frozen=True, slots=True)
class Shape:
    """What a stream is like: shares are of all messages, times in ms.

    `step` is how far event time goes on with each message; `disorder` how far a trip may be behind
    it; `late` trips are half an hour or more behind; `repeated` ones were sent shortly before, in
    the same partition.
    """

    step: int = 200
    disorder: int = 20_000
    late: float = 0.01
    repeated: float = 0.02
    poison: float = 0.005
    drivers: int = 200
    passengers: int = 400


def stream(seed: object, partitions: int, start: int, shape: Shape) -> Iterator[Sent]:
    """Yield the messages of a seed, from event time `start` (epoch ms) on."""
    draw = random.Random(f"trips {seed}")  # noqa: S311 - the same trips each time
    recent: list[deque[bytes]] = [deque(maxlen=_REMEMBERED) for _ in range(partitions)]
    number = 0
    while True:
        partition = draw.randrange(partitions)
        chance = draw.random()
        if chance < shape.poison:
            yield Sent(partition, draw.choice(POISON))
        elif chance < shape.poison + shape.repeated and recent[partition]:
            yield Sent(partition, draw.choice(recent[partition]))
        else:
            at = start + number * shape.step
            is_late = draw.random() < shape.late
            back = draw.randrange(30, 120) * MINUTE if is_late else _disorder(draw, shape)
            value = json.dumps(trip(draw, f"{seed}-{number}", at - back, shape)).encode()
            recent[partition].append(value)
            yield Sent(partition, value)
        number += 1


def trip(draw: random.Random, trip_id: str, at: int, shape: Shape) -> dict[str, Any]:
    """Return a trip with amounts of two digits, which doubles can't hold exactly."""
    driver = draw.randrange(shape.drivers)
    return {
        "trip_id": trip_id,
        "driver_id": f"d{driver}" if driver else None,
        "passenger_id": f"p{draw.randrange(shape.passengers)}",
        "vehicle_type": draw.choice(_VEHICLES),
        "start_location_id": draw.randrange(40),
        "start_time": at,
        "duration_min": draw.randrange(9_000) / 100,
        "distance_km": draw.randrange(5_000) / 100,
        "price": draw.randrange(10_000) / 100,
    }


def _disorder(draw: random.Random, shape: Shape) -> int:
    return draw.randrange(shape.disorder + 1) if draw.random() < 0.2 else 0
