"""The minimum watermark after any updates."""

from hypothesis import given
from hypothesis import strategies as st

from mobility.watermarks import MinWatermark, min_watermark

PARTITIONS = st.integers(0, 4)
WATERMARKS = st.none() | st.integers(0, 5)


@given(st.lists(st.tuples(PARTITIONS, st.just("removed") | WATERMARKS, st.booleans())))
def test_it_is_the_minimum_of_the_known_watermarks(
    steps: list[tuple[int, str | int | None, bool]],
) -> None:
    """Watermarks are added, rise, fall, become unknown and are removed."""
    minimum, known = MinWatermark(), dict[int, int | None]()
    for partition, watermark, is_read in steps:
        if isinstance(watermark, str):
            minimum.remove(partition)
            known.pop(partition, None)
        else:
            minimum.set(partition, watermark)
            known[partition] = watermark
        if is_read:
            assert minimum.value == min_watermark(known.values())
    assert minimum.value == min_watermark(known.values())
