"""A log of 200 partitions on one broker, with an ordinary limit of open files."""

import random
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.conftest import ReportFigure, Rounds
from tests.chaos.exact import assert_exact
from tests.chaos.killable_services import KillableServices
from tests.chaos.tenant import new_tenant

pytestmark = pytest.mark.chaos

PARTITIONS = 200
OPEN_FILES = 1_024
"""The limit that most systems set for a login."""


@pytest.fixture
def ordinary_limit(services_to_kill: KillableServices) -> Iterator[None]:
    """Lower the limit of open files for the processes that a test starts; the services run."""
    del services_to_kill
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("ordinary_limit")
def test_two_hundred_partitions(
    services_to_kill: KillableServices,
    tmp_path: Path,
    rounds: Rounds,
    rng: random.Random,
    report_figure: ReportFigure,
) -> None:
    """One process, two, one again, each killed: 0 windows differ."""
    repeats = {"quick": 1, "full": 5}[rounds]
    with new_tenant(services_to_kill.settings, tmp_path, partitions=PARTITIONS) as tenant:
        flow = tenant.flow
        with tenant.producer(rng.random()) as producer:
            for _ in range(repeats):
                for processes in (1, 2, 1):
                    flow.start("--processes", str(processes))
                    flow.wait_until_read(rng.randrange(1, 3_000))
                    if rng.random() < 0.5:
                        flow.kill()
                    else:
                        flow.kill_one_worker(rng)
                        assert flow.stop()[0] == 0
        flow.run_to_end()
        expected = assert_exact(tenant.settings, producer)
    report_figure(
        f"{PARTITIONS} partitions, {3 * repeats} kills, {3 * repeats} rescalings, "
        f"{expected.windows.height} windows, 0 differ"
    )
