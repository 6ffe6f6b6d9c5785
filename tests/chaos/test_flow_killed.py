"""The dataflow is killed at any time, and all numbers are those of the batch computation."""

import random
import time

import pytest

from tests.chaos.conftest import EVERY_STORE, ReportFigure, Rounds
from tests.chaos.exact import assert_exact
from tests.chaos.paused_commit import (
    pause_between_commits,
    resume_epoch,
    unreachable_snapshots,
    wait_until_paused,
)
from tests.chaos.tenant import Tenant

pytestmark = [pytest.mark.chaos, EVERY_STORE]


def test_kill_9_at_random_points(
    tenant: Tenant, rounds: Rounds, rng: random.Random, report_figure: ReportFigure
) -> None:
    """Killed while it reads, writes and snapshots every second: 0 windows differ.

    Either a process, which the launcher replaces, or the launcher with it.
    """
    kills, flow = {"quick": 5, "full": 50}[rounds], tenant.flow
    with tenant.producer(rng.random()) as producer:
        for _ in range(kills):
            if not flow.running:
                flow.start()
            flow.wait_until_read(rng.randrange(1, 3_000))
            time.sleep(rng.uniform(0, 1.2))  # anywhere in an epoch and its commits
            if rng.random() < 0.5:
                flow.kill()
            else:
                flow.kill_one_worker(rng)
    flow.run_to_end()
    expected = assert_exact(tenant.settings, producer)
    report_figure(
        f"{kills} kills, {producer.sent} messages, {expected.windows.height} windows, 0 differ"
    )


def test_killed_between_the_two_commits_of_an_epoch_twice_in_a_row(
    tenant: Tenant, rounds: Rounds, rng: random.Random, report_figure: ReportFigure
) -> None:
    """Snapshots are newer than the epoch that the next start resumes from, and it is exact.

    The flow is killed while it waits in the second commit, with its snapshots committed. The second
    time it is its first epoch, of which the first run has left such snapshots.
    """
    flow, left = tenant.flow, []
    pairs = {"quick": 1, "full": 10}[rounds]
    with tenant.producer(rng.random()) as producer:
        for _ in range(pairs):
            flow.start()
            flow.wait_until_read(rng.randrange(1, 2_000))
            for _ in range(2):
                with pause_between_commits(flow.recovery):
                    resume = resume_epoch(flow.recovery)
                    if not flow.running:
                        flow.start()
                    wait_until_paused(flow.recovery)
                    flow.kill()
                    left.append(unreachable_snapshots(flow.recovery, resume))
                    assert resume_epoch(flow.recovery) == resume
    assert all(left), "no snapshot was newer than the frontier"
    flow.run_to_end()
    assert_exact(tenant.settings, producer)
    report_figure(f"{2 * pairs} crashes, {sum(left)} snapshots left unreachable, 0 windows differ")


def test_killed_during_start_up(
    tenant: Tenant, rounds: Rounds, rng: random.Random, report_figure: ReportFigure
) -> None:
    """Killed before it has read its first message, while it opens the folder and the stores."""
    kills = {"quick": 5, "full": 20}[rounds]
    flow = tenant.flow
    with tenant.producer(rng.random()) as producer:
        asked = time.monotonic()
        flow.start()
        flow.wait_until_read(1)
        start_up = time.monotonic() - asked
        flow.kill()
        for _ in range(kills):
            flow.start()
            time.sleep(rng.uniform(0, start_up))
            flow.kill()
    flow.run_to_end()
    assert_exact(tenant.settings, producer)
    report_figure(f"{kills} kills within the {start_up:.1f} s of a start, 0 windows differ")
