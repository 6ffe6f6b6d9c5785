"""The broker is restarted while the flow and a producer run."""

import random
import time

import pytest

from tests.chaos.conftest import ReportFigure, Rounds
from tests.chaos.exact import assert_exact
from tests.chaos.killable_services import KillableServices
from tests.chaos.tenant import Tenant

pytestmark = pytest.mark.chaos


def test_broker_restarts_cleanly_and_hard(
    services_to_kill: KillableServices,
    tenant: Tenant,
    rounds: Rounds,
    rng: random.Random,
    report_figure: ReportFigure,
) -> None:
    """No message is lost, none is counted twice, and the flow continues without a restart."""
    each = {"quick": 1, "full": 5}[rounds]
    endings = [services_to_kill.stop, services_to_kill.kill] * each
    rng.shuffle(endings)
    flow, read = tenant.flow, 0
    with tenant.producer(rng.random()) as producer:
        flow.start()
        for end in endings:
            read += rng.randrange(1_000, 3_000)
            flow.wait_until_read(read)
            end("kafka")
            time.sleep(rng.uniform(0, 3))
            services_to_kill.start("kafka")
            producer.wait_until_sent(1_000)
        flow.wait_until_read(read + 1_000)
        code, _ = flow.stop()
        assert code == 0
    flow.run_to_end()
    assert_exact(tenant.settings, producer)
    report_figure(f"{each} clean and {each} hard restarts, {producer.sent} messages sent, 0 lost")
