"""Two clusters on the same stores: the one started last writes, the other one ends and says why."""

import random

import msgspec
import pytest

from runtime.failures import EXIT_REFUSED
from tests.chaos.conftest import Figures
from tests.chaos.exact import assert_exact
from tests.chaos.flow import Flow
from tests.chaos.tenant import Tenant

pytestmark = pytest.mark.chaos

_NEWS = 1_000


def test_the_older_cluster_ends(tenant: Tenant, draw: random.Random, figures: Figures) -> None:
    """With a recovery folder of its own nothing but the stores can tell them apart."""
    folder = tenant.folder / "newer"
    folder.mkdir()
    newer = Flow(msgspec.structs.replace(tenant.settings, status_dir=None), folder)
    try:
        with tenant.feed(draw.random()) as feed:
            tenant.flow.start()
            tenant.flow.wait_until_read(_NEWS)
            newer.start()
            code = tenant.flow.wait()
            newer.wait_until_read(_NEWS)
        newer.wait_until_read(feed.sent)
        assert newer.stop()[0] == 0
    finally:
        newer.end()
    assert code == EXIT_REFUSED
    assert str(newer.recovery) in tenant.flow.log.read_text(), "the holder is not named"
    expected = assert_exact(tenant.settings, feed)
    figures(f"the older ended with {code}, {expected.windows.height} windows, 0 differ")
