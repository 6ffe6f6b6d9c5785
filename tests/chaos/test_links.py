"""The network between the flow and a service stops for some time, and nothing is lost."""

import random
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import msgspec
import pytest

from mobility.settings import Settings
from stack.ports import HOST
from tests.chaos.conftest import ReportFigure, Rounds
from tests.chaos.exact import assert_exact
from tests.chaos.killable_services import KillableServices
from tests.chaos.own_service import ProxiedKafka, run_own_service
from tests.chaos.steady_producer import SteadyProducer
from tests.chaos.tcp_proxy import TcpProxy
from tests.chaos.tenant import new_tenant
from tests.waiting import until

pytestmark = pytest.mark.chaos

_PAUSE_SECONDS: Final[dict[Rounds, float]] = {"quick": 3, "full": 30}
_NEWS: Final = 1_000
_NOISE: Final = 1 << 17
"""Bytes that may pass in a pause: pings, and what was sent just before."""


def test_each_connection_paused(
    services_to_kill: KillableServices,
    tmp_path: Path,
    rounds: Rounds,
    rng: random.Random,
    report_figure: ReportFigure,
) -> None:
    """Paused under load: the flow waits, continues without a restart, and is exact."""
    seconds = _PAUSE_SECONDS[rounds]
    with ExitStack() as stack:
        # Only the flow uses the proxies: producer and oracle connect to the services.
        broker = stack.enter_context(run_own_service(ProxiedKafka, tmp_path / "broker"))
        direct = msgspec.structs.replace(services_to_kill.settings, kafka=broker.url)
        tenant = stack.enter_context(new_tenant(direct, tmp_path))
        proxies = {
            "kafka": stack.enter_context(TcpProxy(broker.target_port, broker.proxy_port)),
            **{
                name: stack.enter_context(TcpProxy(port_of(getattr(direct, name))))
                for name in ("redis", "postgres")
            },
        }
        tenant.flow.start(
            **{name: _proxied_url(tenant.settings, name, proxy) for name, proxy in proxies.items()}
        )
        with tenant.producer(rng.random()) as producer:
            for name in rng.sample(sorted(proxies), len(proxies)):
                tenant.flow.wait_until_read(producer.sent + _NEWS)
                meanwhile = _pause_proxy(proxies[name], seconds, producer)
                tenant.flow.wait_until_read(producer.sent)
                report_figure(f"{name} paused {seconds:.0f} s, {meanwhile} messages meanwhile")
        tenant.flow.wait_until_read(producer.sent)
        assert tenant.flow.stop()[0] == 0
        expected = assert_exact(tenant.settings, producer)
    report_figure(f"{producer.sent} messages, {expected.windows.height} windows, 0 differ")


def _pause_proxy(proxy: TcpProxy, seconds: float, producer: SteadyProducer) -> int:
    """Pause a proxy for so long; return how many messages were sent meanwhile."""
    proxy.pause()
    sent, passed = producer.sent, proxy.passed
    time.sleep(seconds)
    assert proxy.passed - passed < _NOISE, "it was not paused"
    meanwhile = producer.sent - sent
    proxy.resume()
    until(lambda: proxy.passed - passed > _NOISE, "traffic after the pause")
    return meanwhile


def _proxied_url(settings: Settings, name: str, proxy: TcpProxy) -> str:
    """Return a service's URL with the port of the proxy."""
    url: str = getattr(settings, name)
    return url.replace(f"{HOST}:{port_of(url)}", f"{HOST}:{proxy.port}")


def port_of(url: str) -> int:
    """Return the port in the URL of a service on this machine."""
    return int(url.rpartition(f"{HOST}:")[2].partition("/")[0])
