"""An endless stream of messages from a seed: trips out of order, duplicates, late and poison."""

import json
import random
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

MINUTE: Final = 60_000

POISON_VALUES: Final[tuple[bytes | None, ...]] = (None, b"\xff\xfe", b"{", b"[]", b'{"price":NaN}')

_REPEATABLE: Final = 50
_VEHICLES: Final = (None, "car", "bike", "scooter")


@dataclass(frozen=True, slots=True)
class TripMessage:
    """A message and its partition."""

    partition: int
    value: bytes | None


@dataclass(frozen=True, slots=True)
class TripMix:
    """The properties of a stream; shares are of all messages, times in ms.

    Event time advances by `step` per message; a trip may be out of order by `disorder`; `late`
    trips are half an hour or more behind; `repeated` ones were sent shortly before, in the same
    partition; `amounts` of the trips have a distance, and as many a price.
    """

    step: int = 200
    disorder: int = 20_000
    late: float = 0.01
    repeated: float = 0.02
    poison: float = 0.005
    amounts: float = 0.9
    drivers: int = 200
    passengers: int = 400


def stream_messages(
    seed: object, partitions: int, start: int, shape: TripMix
) -> Iterator[TripMessage]:
    """Yield the messages of a seed, with event time from `start` (epoch ms) on."""
    rng = random.Random(f"trips {seed}")  # noqa: S311 - reproducible
    recent: list[deque[bytes]] = [deque(maxlen=_REPEATABLE) for _ in range(partitions)]
    number = 0
    while True:
        partition = rng.randrange(partitions)
        share = rng.random()
        if share < shape.poison:
            yield TripMessage(partition, rng.choice(POISON_VALUES))
        elif share < shape.poison + shape.repeated and recent[partition]:
            yield TripMessage(partition, rng.choice(recent[partition]))
        else:
            at = start + number * shape.step
            is_late = rng.random() < shape.late
            back = rng.randrange(30, 120) * MINUTE if is_late else _disorder(rng, shape)
            value = json.dumps(make_trip(rng, f"{seed}-{number}", at - back, shape)).encode()
            recent[partition].append(value)
            yield TripMessage(partition, value)
        number += 1


def make_trip(rng: random.Random, trip_id: str, at: int, shape: TripMix) -> dict[str, Any]:
    """Return a trip with amounts of two decimals, which doubles can't represent exactly.

    Some have no distance or no price.
    """
    driver = rng.randrange(shape.drivers)
    trip = {
        "trip_id": trip_id,
        "driver_id": f"d{driver}" if driver else None,
        "passenger_id": f"p{rng.randrange(shape.passengers)}",
        "vehicle_type": rng.choice(_VEHICLES),
        "start_location_id": rng.randrange(40),
        "start_time": at,
        "duration_min": rng.randrange(9_000) / 100,
        "distance_km": rng.randrange(5_000) / 100 if rng.random() < shape.amounts else None,
    }
    has_price = rng.random() < shape.amounts
    return trip | {"price": rng.randrange(10_000) / 100} if has_price else trip


def _disorder(rng: random.Random, shape: TripMix) -> int:
    return rng.randrange(shape.disorder + 1) if rng.random() < 0.2 else 0
