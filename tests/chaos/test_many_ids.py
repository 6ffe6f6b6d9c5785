"""The state of the flow does not grow with the number of ids."""

import itertools
import random
from pathlib import Path

import pytest

from audit.follower_lag import lagging_entities
from mobility.entities import ENTITIES
from mobility.settings import Settings
from tests.chaos.conftest import ReportFigure, Rounds
from tests.chaos.exact import assert_exact
from tests.chaos.killable_services import KillableServices
from tests.chaos.recovery_reader import snapshots_of_states
from tests.chaos.steady_producer import SteadyProducer
from tests.chaos.tenant import new_tenant, one_day_ago
from tests.chaos.trip_stream import MINUTE, TripMix, stream_messages
from tests.waiting import until

pytestmark = pytest.mark.chaos

TRIPS = 1_000_000
HOURS = 12
SAMPLES = 40


def test_a_million_ids_through_half_a_day(
    services_to_kill: KillableServices,
    tmp_path: Path,
    rounds: Rounds,
    rng: random.Random,
    report_figure: ReportFigure,
) -> None:
    """Recovery rows stay within their bound, and memory is constant over the second half.

    Each trip has another driver. A window's state is cleaned up 15 minutes of event time after its
    end, so the state has only windows of the last of 12 hours. There are as many states as the
    layout has, and at most two snapshots of each (see `runtime/recovery.py`).
    """
    if rounds == "quick":
        pytest.skip("takes minutes: just chaos full")
    shape = TripMix(step=HOURS * 60 * MINUTE // TRIPS, drivers=10**12, late=0, repeated=0, poison=0)
    kept: list[dict[tuple[str, str], int]] = []
    memory: list[int] = []
    with new_tenant(services_to_kill.settings, tmp_path, batch_size=5_000) as tenant:
        messages = stream_messages(rng.random(), tenant.settings.partitions, one_day_ago(), shape)
        flow = tenant.flow
        flow.start()
        producer = SteadyProducer(tenant.settings, itertools.islice(messages, TRIPS), rate=20_000)
        with producer:
            for sample in range(1, SAMPLES + 1):
                flow.wait_until_read(sample * TRIPS // SAMPLES)
                kept.append(snapshots_of_states(flow.recovery))
                memory.append(sum(map(resident, flow.workers())))
        # A stop ends it within ten seconds, however far behind it is.
        until(
            lambda: not lagging_entities(tenant.settings), "Redis to follow Postgres", seconds=600
        )
        code, _ = flow.stop()
        assert code == 0
        flow.run_to_end()
        expected = assert_exact(tenant.settings, producer)
    half = SAMPLES // 2
    drivers = expected.totals.filter(entity="driver").height
    rows = [sum(states.values()) for states in kept]
    report_figure(f"{drivers} ids; recovery rows {min(rows[half:])} to {max(rows[half:])}")
    report_figure(f"memory over the last half {min(memory[half:])} to {max(memory[half:])} MB")
    assert max(map(len, kept)) <= most_states(tenant.settings)
    assert max(count for states in kept for count in states.values()) <= 2
    # Constant: the last quarter needs no more than the one before it.
    assert max(memory[-half // 2 :]) <= 1.1 * max(memory[half : half + half // 2])


def most_states(settings: Settings) -> int:
    """Return how many states there are at most, by the layout of the flow.

    One of each partition of the log and one of the step that punctuates; and of each shard the
    three side outputs, and for each entity its windows, their topic and the stores.
    """
    return settings.partitions + 1 + settings.shards * (3 + 3 * len(ENTITIES))


def resident(pid: int) -> int:
    """Return the resident memory of a process in MB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmRSS:"))) // 1024
