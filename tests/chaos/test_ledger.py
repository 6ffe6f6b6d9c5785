"""The flow is killed while the ledger of Postgres is rolled up all the time."""

import random
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from mobility.entities import ENTITIES
from mobility.settings import Settings
from sinks.ledger_maintenance import maintain_ledger
from tests.chaos.conftest import ReportFigure, Rounds
from tests.chaos.exact import assert_exact
from tests.chaos.tenant import Tenant
from tests.rollups import check_rollups

pytestmark = pytest.mark.chaos


@contextmanager
def maintained(settings: Settings) -> Iterator[None]:
    """Maintain the ledger without a pause, as one more process of the flow."""
    ends = threading.Event()

    def maintain() -> None:
        while not ends.wait(0.2):
            maintain_ledger(settings)

    with ThreadPoolExecutor(1) as pool:
        maintaining = pool.submit(maintain)
        try:
            yield
        finally:
            ends.set()
        maintaining.result()


def test_killed_while_it_is_rolled_up(
    tenant: Tenant, rounds: Rounds, rng: random.Random, report_figure: ReportFigure
) -> None:
    """What comes again after a crash is in no rollup twice, and nothing is lacking there."""
    kills, flow = {"quick": 3, "full": 30}[rounds], tenant.flow
    flow.start()
    with tenant.producer(rng.random()) as producer:
        flow.wait_until_read(1)
        for _ in range(kills):
            if not flow.running:
                flow.start()
            with maintained(tenant.settings):
                flow.wait_until_read(rng.randrange(1, 3_000))
                time.sleep(rng.uniform(0, 1.2))  # anywhere in an epoch and its commits
                flow.kill()
            for entity in ENTITIES:
                check_rollups(tenant.settings.postgres, entity.name)
    flow.run_to_end()
    assert_exact(tenant.settings, producer)
    maintain_ledger(tenant.settings)
    compared = [check_rollups(tenant.settings.postgres, entity.name) for entity in ENTITIES]
    hours = [each["hours"] for each in compared if "hours" in each]
    assert len(hours) == 2
    assert all(hours)
    report_figure(f"{kills} kills, {sum(hours)} rollups of hours, 0 differ")
