"""The partition of a key, as the partitioner `murmur2_random` computes it.

The hash is Murmur2 in 32 bits with Kafka's seed.
"""

from typing import Final

_SEED: Final = 0x9747B28C
_FACTOR: Final = 0x5BD1E995
_SHIFT: Final = 24
_BITS: Final = 0xFFFFFFFF
_WORD: Final = 4


def partition_of(key: bytes, partitions: int) -> int:
    """Return the partition of a key."""
    return (murmur2(key) & 0x7FFFFFFF) % partitions


def murmur2(data: bytes) -> int:
    """Return the hash as an unsigned number."""
    whole = len(data) - len(data) % _WORD
    state = _SEED ^ len(data)
    for start in range(0, whole, _WORD):
        word = int.from_bytes(data[start : start + _WORD], "little") * _FACTOR & _BITS
        word = (word ^ word >> _SHIFT) * _FACTOR & _BITS
        state = state * _FACTOR & _BITS ^ word
    if rest := data[whole:]:
        state = (state ^ int.from_bytes(rest, "little")) * _FACTOR & _BITS
    state = (state ^ state >> 13) * _FACTOR & _BITS
    return state ^ state >> 15
