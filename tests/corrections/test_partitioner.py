"""Keys have the partitions that Kafka's own hash gives them."""

import pytest

from corrections.partitioner import murmur2, partition_of


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_the_hash_is_that_of_kafka(key: bytes, expected: int) -> None:
    """The values that Kafka's Java client is tested with, as signed numbers."""
    assert murmur2(key) == expected % 2**32
    assert partition_of(key, 7) == (expected & 0x7FFFFFFF) % 7
