"""The broker goes away and comes back under a running flow and a running producer."""

import random
import time

import pytest

from tests.chaos.conftest import Figures, Rounds
from tests.chaos.exact import assert_exact
from tests.chaos.machine import Machine
from tests.chaos.tenant import Tenant

pytestmark = pytest.mark.chaos


def test_broker_restarts_cleanly_and_hard(
    machine: Machine, tenant: Tenant, rounds: Rounds, draw: random.Random, figures: Figures
) -> None:
    """Nothing that was sent is lost, nothing is counted twice, and the flow outlives it all."""
    each = {"quick": 1, "full": 5}[rounds]
    endings = [machine.stop, machine.kill] * each
    draw.shuffle(endings)
    flow, read = tenant.flow, 0
    with tenant.feed(draw.random()) as feed:
        flow.start()
        for end in endings:
            read += draw.randrange(1_000, 3_000)
            flow.wait_until_read(read)
            end("kafka")
            time.sleep(draw.uniform(0, 3))
            machine.start("kafka")
            feed.wait_for(1_000)
        flow.wait_until_read(read + 1_000)
        code, _ = flow.stop()
        assert code == 0
    flow.finish()
    assert_exact(tenant.settings, feed)
    figures(f"{each} clean and {each} hard restarts, {feed.sent} messages sent, 0 lost")
