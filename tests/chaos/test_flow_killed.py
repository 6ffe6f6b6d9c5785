"""The dataflow dies, at any moment and in any part, and the numbers stay those of one batch."""

import random
import time

import pytest

from tests.chaos.conftest import Figures, Rounds
from tests.chaos.exact import assert_exact
from tests.chaos.held import (
    held_between_commits,
    resume_epoch,
    unreachable_snapshots,
    wait_until_held,
)
from tests.chaos.tenant import Tenant

pytestmark = pytest.mark.chaos


def test_kill_9_at_random_points(
    tenant: Tenant, rounds: Rounds, draw: random.Random, figures: Figures
) -> None:
    """Killed while it reads, writes and takes snapshots every second: 0 windows differ.

    Now the process alone, which its launcher replaces, now the launcher with it.
    """
    kills, flow = {"quick": 5, "full": 50}[rounds], tenant.flow
    with tenant.feed(draw.random()) as feed:
        for _ in range(kills):
            if not flow.running:
                flow.start()
            flow.wait_until_read(draw.randrange(1, 3_000))
            time.sleep(draw.uniform(0, 1.2))  # anywhere in an epoch and its commits
            if draw.random() < 0.5:
                flow.kill()
            else:
                flow.kill_one(draw)
    flow.finish()
    expected = assert_exact(tenant.settings, feed)
    figures(f"{kills} kills, {feed.sent} messages, {expected.windows.height} windows, 0 differ")


def test_killed_between_the_two_commits_of_an_epoch_twice_in_a_row(
    tenant: Tenant, rounds: Rounds, draw: random.Random, figures: Figures
) -> None:
    """Snapshots are newer than the epoch that the next start resumes from, and it is exact.

    It is no imitation of that state: the flow hangs in the second commit, its snapshots
    committed, when it is killed. The second time it hangs in its very first epoch, the one that
    the first run left such snapshots of.
    """
    flow, left = tenant.flow, []
    pairs = {"quick": 1, "full": 10}[rounds]
    with tenant.feed(draw.random()) as feed:
        for _ in range(pairs):
            flow.start()
            flow.wait_until_read(draw.randrange(1, 2_000))
            for _ in range(2):
                with held_between_commits(flow.recovery):
                    resume = resume_epoch(flow.recovery)
                    if not flow.running:
                        flow.start()
                    wait_until_held(flow.recovery)
                    flow.kill()
                    left.append(unreachable_snapshots(flow.recovery, resume))
                    assert resume_epoch(flow.recovery) == resume
    assert all(left), "no snapshot was newer than the frontier"
    flow.finish()
    assert_exact(tenant.settings, feed)
    figures(f"{2 * pairs} crashes, {sum(left)} snapshots left unreachable, 0 windows differ")


def test_killed_during_start_up(
    tenant: Tenant, rounds: Rounds, draw: random.Random, figures: Figures
) -> None:
    """Killed before it has read its first message, while it takes the folder and the stores."""
    kills = {"quick": 5, "full": 20}[rounds]
    flow = tenant.flow
    with tenant.feed(draw.random()) as feed:
        asked = time.monotonic()
        flow.start()
        flow.wait_until_read(1)
        start_up = time.monotonic() - asked
        flow.kill()
        for _ in range(kills):
            flow.start()
            time.sleep(draw.uniform(0, start_up))
            flow.kill()
    flow.finish()
    assert_exact(tenant.settings, feed)
    figures(f"{kills} kills within the {start_up:.1f} s of a start, 0 windows differ")
