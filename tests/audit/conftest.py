"""Fixtures of the audit's tests on real services."""

import msgspec
import pytest

from tests.dataflows.conftest import Hub, hub

__all__ = ["hub"]


@pytest.fixture
def audited(hub: Hub) -> Hub:
    """Return a tenant with both stores, a status folder and topics."""
    hub.settings = msgspec.structs.replace(
        hub.settings,
        stores=("redis", "postgres"),
        status_dir=str(hub.recovery.parent / "status"),
        audit_every=1,
    )
    hub.make_topics()
    return hub


def run_flow(hub: Hub) -> None:
    """Run the flow to the end of the log."""
    run = hub.run()
    assert run.returncode == 0, run.stderr[-3_000:]
