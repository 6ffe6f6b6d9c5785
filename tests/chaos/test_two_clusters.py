"""Two clusters on the same stores: the one started last writes, the other one exits."""

import random

import msgspec
import pytest

from runtime.failures import EXIT_REFUSED
from tests.chaos.conftest import EVERY_STORE, ReportFigure
from tests.chaos.exact import assert_exact
from tests.chaos.flow_process import FlowProcess
from tests.chaos.tenant import Tenant

pytestmark = [pytest.mark.chaos, EVERY_STORE]

_MESSAGES = 1_000


def test_the_older_cluster_ends(
    tenant: Tenant, rng: random.Random, report_figure: ReportFigure
) -> None:
    """They have different recovery folders, so only the stores can detect the second one."""
    folder = tenant.folder / "newer"
    folder.mkdir()
    newer = FlowProcess(msgspec.structs.replace(tenant.settings, status_dir=None), folder)
    try:
        with tenant.producer(rng.random()) as producer:
            tenant.flow.start()
            tenant.flow.wait_until_read(_MESSAGES)
            newer.start()
            code = tenant.flow.wait()
            newer.wait_until_read(_MESSAGES)
        newer.wait_until_read(producer.sent)
        assert newer.stop()[0] == 0
    finally:
        newer.ensure_stopped()
    assert code == EXIT_REFUSED
    assert str(newer.recovery) in tenant.flow.log.read_text(), (
        "the message does not have the newer cluster"
    )
    expected = assert_exact(tenant.settings, producer)
    report_figure(f"the older ended with {code}, {expected.windows.height} windows, 0 differ")
