"""Two minimum watermarks over the partitions, for any updates in any order."""

from hypothesis import given
from hypothesis import strategies as st

from dataflows.items import WatermarkUpdate
from dataflows.watermarks import WatermarkTracker
from mobility.status import ReadStatus
from mobility.watermarks import min_watermark

PARTITIONS = (0, 1, 2, 3)

statuses: st.SearchStrategy[ReadStatus] = st.sampled_from(
    ("behind", "caught_up", "idle", "finished")
)
lists = st.sampled_from((PARTITIONS, (*PARTITIONS,), (0, 1, 2, 3, 4)))
updates = st.builds(
    WatermarkUpdate, st.sampled_from(PARTITIONS), st.none() | st.integers(0, 9), statuses, lists
)


@given(st.lists(st.lists(updates, min_size=1)))
def test_all_follows_from_the_newest_updates(steps: list[list[WatermarkUpdate]]) -> None:
    """Complete, caught up, closing watermark and cleanup watermark, however updates come."""
    tracker = WatermarkTracker()
    newest: dict[int, WatermarkUpdate] = {}
    listed: set[int] = set()
    for together in steps:
        tracker.update_all(together)
        newest |= {update.partition: update for update in together}
        listed |= {partition for update in together for partition in update.partitions}
        known = newest.values()
        active = [u.watermark for u in known if u.status in {"behind", "caught_up"}]
        assert tracker.updates == newest
        assert tracker.is_complete == (listed <= newest.keys())
        assert tracker.is_caught_up == all(u.status != "behind" for u in known)
        assert tracker.closing_watermark == min_watermark(active)
        assert tracker.cleanup_watermark == min_watermark(u.watermark for u in known)
    assert bool(steps) or not tracker.is_complete
