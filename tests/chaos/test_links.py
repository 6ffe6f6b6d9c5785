"""The network stops for a while between the flow and what it needs, and nothing is lost."""

import random
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import msgspec
import pytest

from mobility.settings import Settings
from stack.ports import HOST
from tests.chaos.conftest import Figures, Rounds
from tests.chaos.exact import assert_exact
from tests.chaos.feed import Feed
from tests.chaos.link import Link
from tests.chaos.machine import Machine
from tests.chaos.own import LinkedKafka, own
from tests.chaos.tenant import new_tenant
from tests.waiting import until

pytestmark = pytest.mark.chaos

_FROZEN: Final[dict[Rounds, float]] = {"quick": 3, "full": 30}
_NEWS: Final = 1_000
_NOISE: Final = 1 << 17
"""Bytes that may pass a link without news: pings, and what was under way when it froze."""


def test_each_link_frozen(
    machine: Machine, tmp_path: Path, rounds: Rounds, draw: random.Random, figures: Figures
) -> None:
    """Frozen under load: the flow waits, goes on after the thaw without a restart, and is exact."""
    seconds = _FROZEN[rounds]
    with ExitStack() as stack:
        # The flow alone is behind the links: the feed and the oracle see the services themselves.
        broker = stack.enter_context(own(LinkedKafka, tmp_path / "broker"))
        direct = msgspec.structs.replace(machine.settings, kafka=broker.url)
        tenant = stack.enter_context(new_tenant(direct, tmp_path))
        links = {
            "kafka": stack.enter_context(Link(broker.linked_port, broker.link_port)),
            **{
                name: stack.enter_context(Link(port_of(getattr(direct, name))))
                for name in ("redis", "postgres")
            },
        }
        tenant.flow.start(
            **{name: _routed(tenant.settings, name, link) for name, link in links.items()}
        )
        with tenant.feed(draw.random()) as feed:
            for name in draw.sample(sorted(links), len(links)):
                tenant.flow.wait_until_read(feed.sent + _NEWS)
                meanwhile = _frozen(links[name], seconds, feed)
                tenant.flow.wait_until_read(feed.sent)
                figures(f"{name} frozen {seconds:.0f} s, {meanwhile} messages meanwhile")
        tenant.flow.wait_until_read(feed.sent)
        assert tenant.flow.stop()[0] == 0
        expected = assert_exact(tenant.settings, feed)
    figures(f"{feed.sent} messages, {expected.windows.height} windows, 0 differ")


def _frozen(link: Link, seconds: float, feed: Feed) -> int:
    """Freeze a link for so long; return how many messages the feed sent meanwhile."""
    link.freeze()
    sent, passed = feed.sent, link.passed
    time.sleep(seconds)
    assert link.passed - passed < _NOISE, "it was not frozen"
    meanwhile = feed.sent - sent
    link.thaw()
    until(lambda: link.passed - passed > _NOISE, "traffic after the thaw")
    return meanwhile


def _routed(settings: Settings, name: str, link: Link) -> str:
    """Return a service's URL with the link in place of the service."""
    url: str = getattr(settings, name)
    return url.replace(f"{HOST}:{port_of(url)}", f"{HOST}:{link.port}")


def port_of(url: str) -> int:
    """Return the port in the URL of a service on this machine."""
    return int(url.rpartition(f"{HOST}:")[2].partition("/")[0])
