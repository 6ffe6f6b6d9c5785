"""The minimum over watermarks that come one at a time is that over all of them."""

from hypothesis import given
from hypothesis import strategies as st

from mobility.watermarks import MinWatermark, min_watermark

PARTITIONS = st.integers(0, 4)
WATERMARKS = st.none() | st.integers(0, 5)


@given(st.lists(st.tuples(PARTITIONS, st.just("removed") | WATERMARKS, st.booleans())))
def test_it_is_the_minimum_whatever_comes(steps: list[tuple[int, str | int | None, bool]]) -> None:
    """Watermarks come, rise, fall, become unknown and are removed; it is read now and then."""
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
