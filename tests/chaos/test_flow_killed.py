"""The dataflow dies, at any moment and in any part, and the numbers stay those of one batch."""

import random
import time

import pytest

from tests.chaos.conftest import Figures, Rounds
from tests.chaos.exact import assert_exact
from tests.chaos.tenant import Tenant

pytestmark = pytest.mark.chaos


def test_kill_9_at_random_points(
    tenant: Tenant, rounds: Rounds, draw: random.Random, figures: Figures
) -> None:
    """Killed while it reads, writes and takes snapshots every second: 0 windows differ."""
    kills = {"quick": 5, "full": 50}[rounds]
    with tenant.feed(draw.random()) as feed:
        for _ in range(kills):
            tenant.flow.start()
            tenant.flow.wait_until_read(draw.randrange(1, 4_000))
            time.sleep(draw.uniform(0, 1.2))  # an epoch and its commits
            tenant.flow.kill()
    tenant.flow.finish()
    expected = assert_exact(tenant.settings, feed)
    figures(f"{kills} kills, {feed.sent} messages, {expected.windows.height} windows, 0 differ")
