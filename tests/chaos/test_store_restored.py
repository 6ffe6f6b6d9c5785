"""A store is stopped, and started again with an earlier copy of its data."""

import random
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from runtime.failures import EXIT_REFUSED
from stack.processes import read_log_tail
from tests.chaos.conftest import ReportFigure, Rounds
from tests.chaos.exact import assert_exact
from tests.chaos.killable_services import KillableServices
from tests.chaos.tenant import Tenant

pytestmark = pytest.mark.chaos

_MESSAGES = 2_000


@contextmanager
def stopped(services_to_kill: KillableServices, store: str) -> Iterator[Path]:
    """Stop a store for a moment; yield its data folder."""
    services_to_kill.stop(store)
    yield (services_to_kill.folder / store).resolve()
    services_to_kill.start(store)


@pytest.mark.parametrize("store", ["postgres", "redis"])
def test_a_store_restored_from_an_earlier_copy(
    services_to_kill: KillableServices,
    tenant: Tenant,
    tmp_path: Path,
    store: str,
    rounds: Rounds,
    rng: random.Random,
    report_figure: ReportFigure,
) -> None:
    """Under load. Redis is refilled; Postgres is refused until it was filled again."""
    flow, copy = tenant.flow, tmp_path / "copy"
    refused = 0
    with tenant.producer(rng.random()) as producer:
        flow.start()
        for _ in range({"quick": 1, "full": 5}[rounds]):
            flow.wait_until_read(rng.randrange(1, _MESSAGES))
            with stopped(services_to_kill, store) as data:
                subprocess.run(["cp", "-a", data, copy], check=True)
            flow.wait_until_read(flow.counters()["read"] + _MESSAGES)
            with stopped(services_to_kill, store) as data:
                shutil.rmtree(data)
                subprocess.run(["cp", "-a", copy, data], check=True)
            shutil.rmtree(copy)
            if store == "postgres":
                assert flow.wait(seconds=120) == EXIT_REFUSED, read_log_tail(flow.log, 40)
                flow.start("--rebuild", store)
                assert flow.wait(seconds=300) == 0, read_log_tail(flow.log, 40)
                refused += 1
                flow.start()
            flow.wait_until_read(_MESSAGES)
    assert flow.stop()[0] == 0
    flow.run_to_end()
    expected = assert_exact(tenant.settings, producer)
    assert ("lacks windows of" in flow.log.read_text()) == bool(refused)
    report_figure(f"{store}: refused {refused} times, {expected.windows.height} windows, 0 differ")
