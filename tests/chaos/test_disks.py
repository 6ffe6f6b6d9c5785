"""A disk is full: whoever has to write there ends and says so, and all is exact with space again."""

import asyncio
import random
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec
import pytest

from mobility.settings import Settings
from stack.kafka import Kafka
from stack.postgres import Postgres
from stack.processes import find, tail
from stack.service import Service, start
from tests.chaos.conftest import Figures
from tests.chaos.disk import SmallDisk
from tests.chaos.exact import assert_exact
from tests.chaos.flow import Flow
from tests.chaos.machine import Machine
from tests.chaos.own import own
from tests.chaos.tenant import Tenant, new_tenant
from tests.chaos.waiting import until

pytestmark = pytest.mark.chaos

_NEWS: Final = 1_000


@pytest.fixture
def place() -> Iterator[Path]:
    """Return a folder that the account of Postgres can get to, unlike those of pytest."""
    with tempfile.TemporaryDirectory(prefix="mobility-") as folder:
        Path(folder).chmod(0o711)
        yield Path(folder) / "disk"


def test_full_for_recovery(
    machine: Machine, tmp_path: Path, place: Path, draw: random.Random, figures: Figures
) -> None:
    """The flow ends with a code other than 0 when it can't take a snapshot."""
    with SmallDisk(place, 8) as disk, new_tenant(machine.settings, tmp_path) as tenant:
        tenant.flow.recovery = disk.folder / "recovery"
        with tenant.feed(draw.random()) as feed:
            tenant.flow.start("--restarts", "0")
            tenant.flow.wait_until_read(_NEWS)
            disk.fill()
            code = tenant.flow.wait()
            disk.empty()
            tenant.flow.start()
            tenant.flow.wait_until_read(_NEWS)
        tenant.flow.stop()
        tenant.flow.finish()
        print(tail(tenant.flow.log, 60))
        assert code not in {0, None}
        expected = assert_exact(tenant.settings, feed)
    figures(f"exit {code}, {expected.windows.height} windows, 0 differ")
