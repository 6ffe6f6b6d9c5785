"""A disk is full: who has to write there ends and says so, and all is exact with space again."""

import asyncio
import random
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec
import pytest

from stack.kafka import Kafka
from stack.postgres import Postgres
from stack.processes import find_process, read_log_tail
from stack.service import start_service
from tests.chaos.conftest import Figures
from tests.chaos.disk import SmallDisk
from tests.chaos.exact import assert_exact
from tests.chaos.machine import Machine
from tests.chaos.own import own
from tests.chaos.tenant import Tenant, new_tenant

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
    """The flow ends when it can't take a snapshot, and the launcher says whose disk is full."""
    with SmallDisk(place, 16) as disk, new_tenant(machine.settings, tmp_path) as tenant:
        flow = tenant.flow
        flow.recovery = disk.folder / "recovery"
        with tenant.feed(draw.random()) as feed:
            flow.start("--restarts", "1")
            flow.wait_until_read(_NEWS)
            disk.fill()
            code = flow.wait()
            disk.empty()
            flow.start()
            flow.wait_until_read(_NEWS)
        _end(tenant)
        assert code == 1
        assert f"the disk of the recovery folder {flow.recovery} is full" in flow.log.read_text()
        expected = assert_exact(tenant.settings, feed)
    figures(f"the flow ended with {code}, {expected.windows.height} windows, 0 differ")


def test_full_for_postgres(
    machine: Machine, tmp_path: Path, place: Path, draw: random.Random, figures: Figures
) -> None:
    """The flow ends and passes on what Postgres says; with space again all is exact."""
    with SmallDisk(place, 160) as disk, own(Postgres, disk.folder / "state") as postgres:
        assert postgres.home.is_relative_to(disk.folder)
        services = msgspec.structs.replace(machine.settings, postgres=postgres.url)
        with new_tenant(services, tmp_path) as tenant:
            with tenant.feed(draw.random()) as feed:
                tenant.flow.start("--restarts", "0")
                tenant.flow.wait_until_read(_NEWS)
                disk.fill()
                code = tenant.flow.wait(180)
                disk.empty()
                asyncio.run(start_service(postgres))
                tenant.flow.start()
                tenant.flow.wait_until_read(_NEWS)
            _end(tenant)
            assert code == 1
            assert "No space left on device" in tenant.flow.log.read_text()
            expected = assert_exact(tenant.settings, feed)
    figures(f"the flow ended with {code}, {expected.windows.height} windows, 0 differ")


def test_full_for_the_broker(
    machine: Machine, tmp_path: Path, place: Path, draw: random.Random, figures: Figures
) -> None:
    """The broker ends and says so; with space again, and started again, all is exact."""
    with SmallDisk(place, 96) as disk, own(Kafka, disk.folder / "state") as kafka:
        services = msgspec.structs.replace(machine.settings, kafka=kafka.url)
        with new_tenant(services, tmp_path) as tenant:
            with tenant.feed(draw.random()) as feed:
                tenant.flow.start()
                tenant.flow.wait_until_read(_NEWS)
                broker = find_process(kafka.folder, kafka.name)
                assert broker is not None
                disk.fill()
                assert asyncio.run(broker.wait_for_exit(60)), "the broker did not end"
                disk.empty()
                asyncio.run(start_service(kafka))
                tenant.flow.wait_until_read(feed.sent)
            _end(tenant)
            assert broker.exit_code == 1
            assert "No space left on device" in kafka.log.with_name("kafka.log.1").read_text()
            expected = assert_exact(tenant.settings, feed)
    figures(
        f"the broker ended with {broker.exit_code}, {expected.windows.height} windows, 0 differ"
    )


def _end(tenant: Tenant) -> None:
    """Stop the flow, and let it read what it has not read yet."""
    assert tenant.flow.stop()[0] == 0, read_log_tail(tenant.flow.log, 40)
    tenant.flow.finish()
