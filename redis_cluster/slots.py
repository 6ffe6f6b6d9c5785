"""The hash slots of a Redis Cluster, by which keys are divided between its masters.

Source: https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/#key-distribution-model
"""

from binascii import crc_hqx
from collections.abc import Iterable
from functools import cache, lru_cache
from itertools import count
from typing import Final

from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot

SLOTS: Final = REDIS_CLUSTER_HASH_SLOTS


def slot_of(key: str) -> int:
    """Return the slot of a key."""
    return key_slot(key.encode())


def slots_of(prefix: str, ids: Iterable[str]) -> list[int]:
    """Return the slots of keys that are a prefix and an id. The prefix is hashed once.

    >>> slots_of("driver:", ["d42", "{x}"]) == [slot_of("driver:d42"), slot_of("driver:{x}")]
    True
    """
    if "{" in prefix:
        return [slot_of(prefix + each) for each in ids]
    start = crc_hqx(prefix.encode(), 0)
    return [
        crc_hqx(each.encode(), start) % SLOTS if "{" not in each else slot_of(prefix + each)
        for each in ids
    ]


def hash_tag(slot: int) -> str:
    """Return the lowest number that is in a slot as text: as a hash tag it names keys there."""
    return _tags()[slot]


def ranges(runs: Iterable[range]) -> str:
    """Return runs of slots as text.

    >>> ranges([range(0, 3), range(7, 8)])
    '0-2,7'
    """
    return ",".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)


@lru_cache(maxsize=64)
def cover_all(texts: frozenset[str]) -> bool:
    """Return whether every slot is in one of the ranges, which are as `ranges` returns them."""
    covered: set[int] = set()
    for part in (part for text in texts if text for part in text.split(",")):
        start, _, end = part.partition("-")
        covered.update(range(int(start), int(end or start) + 1))
    return len(covered) == SLOTS


@cache
def _tags() -> dict[int, str]:
    tags: dict[int, str] = {}
    for number in count():
        tags.setdefault(slot_of(str(number)), str(number))
        if len(tags) == SLOTS:
            break
    return tags
