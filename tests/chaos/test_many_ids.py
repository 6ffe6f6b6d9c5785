"""What the flow keeps does not grow with the ids it has seen."""

import itertools
import random
from pathlib import Path

import pytest

from tests.chaos.conftest import Figures, Rounds
from tests.chaos.exact import assert_exact
from tests.chaos.feed import Feed
from tests.chaos.machine import Machine
from tests.chaos.recovered import snapshots
from tests.chaos.tenant import a_day_ago, new_tenant
from tests.chaos.trips import MINUTE, Shape, stream

pytestmark = pytest.mark.chaos

TRIPS = 1_000_000
HOURS = 12
SAMPLES = 40


def test_a_million_ids_through_half_a_day(
    machine: Machine, tmp_path: Path, rounds: Rounds, draw: random.Random, figures: Figures
) -> None:
    """Recovery rows stay within 10 % and memory is flat over the second half of the way.

    Each trip has a driver of its own. A window's state is gone 15 minutes of event time after its
    end, so what is kept belongs to the last of 12 hours only.
    """
    if rounds == "quick":
        pytest.skip("takes minutes: just chaos full")
    shape = Shape(step=HOURS * 60 * MINUTE // TRIPS, drivers=10**12, late=0, repeated=0, poison=0)
    kept: list[int] = []
    memory: list[int] = []
    with new_tenant(machine.settings, tmp_path, batch_size=5_000) as tenant:
        messages = stream(draw.random(), tenant.settings.partitions, a_day_ago(), shape)
        flow = tenant.flow
        flow.start()
        feed = Feed(tenant.settings, itertools.islice(messages, TRIPS), rate=20_000)
        with feed:
            for sample in range(1, SAMPLES + 1):
                flow.wait_until_read(sample * TRIPS // SAMPLES)
                kept.append(snapshots(flow.recovery))
                memory.append(sum(map(resident, flow.workers())))
        code, _ = flow.stop()
        assert code == 0
        flow.finish()
        expected = assert_exact(tenant.settings, feed)
    half = SAMPLES // 2
    drivers = expected.totals.filter(entity="driver").height
    figures(f"{drivers} ids; recovery rows {min(kept[half:])} to {max(kept[half:])}")
    figures(f"memory over the last half {min(memory[half:])} to {max(memory[half:])} MB")
    assert max(kept[half:]) <= 1.1 * min(kept[half:])
    # Flat: the last quarter needs no more than the one before it.
    assert max(memory[-half // 2 :]) <= 1.1 * max(memory[half : half + half // 2])


def resident(pid: int) -> int:
    """Return the resident memory of a process in MB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmRSS:"))) // 1024
