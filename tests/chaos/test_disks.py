"""A disk is full: the process that writes there exits with a message; with space all is exact."""

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
from tests.chaos.conftest import ReportFigure
from tests.chaos.disk import SmallDisk
from tests.chaos.exact import assert_exact
from tests.chaos.killable_services import KillableServices
from tests.chaos.own_service import run_own_service
from tests.chaos.tenant import Tenant, new_tenant

pytestmark = pytest.mark.chaos

_MESSAGES: Final = 1_000


@pytest.fixture
def disk_folder() -> Iterator[Path]:
    """Return a folder that the user of Postgres can access, unlike those of pytest."""
    with tempfile.TemporaryDirectory(prefix="mobility-") as folder:
        Path(folder).chmod(0o711)
        yield Path(folder) / "disk"


def test_full_for_recovery(
    services_to_kill: KillableServices,
    tmp_path: Path,
    disk_folder: Path,
    rng: random.Random,
    report_figure: ReportFigure,
) -> None:
    """The flow exits when it can't write a snapshot, and the launcher says which disk is full."""
    with (
        SmallDisk(disk_folder, 16) as disk,
        new_tenant(services_to_kill.settings, tmp_path) as tenant,
    ):
        flow = tenant.flow
        flow.recovery = disk.folder / "recovery"
        with tenant.producer(rng.random()) as producer:
            flow.start("--restarts", "1")
            flow.wait_until_read(_MESSAGES)
            disk.fill()
            code = flow.wait()
            disk.empty()
            flow.start()
            flow.wait_until_read(_MESSAGES)
        _end(tenant)
        assert code == 1
        assert f"the disk of the recovery folder {flow.recovery} is full" in flow.log.read_text()
        expected = assert_exact(tenant.settings, producer)
    report_figure(f"the flow ended with {code}, {expected.windows.height} windows, 0 differ")


def test_full_for_postgres(
    services_to_kill: KillableServices,
    tmp_path: Path,
    disk_folder: Path,
    rng: random.Random,
    report_figure: ReportFigure,
) -> None:
    """The flow exits with the error of Postgres; with space all is exact."""
    with (
        SmallDisk(disk_folder, 160) as disk,
        run_own_service(Postgres, disk.folder / "state") as postgres,
    ):
        assert postgres.home.is_relative_to(disk.folder)
        services = msgspec.structs.replace(services_to_kill.settings, postgres=postgres.url)
        with new_tenant(services, tmp_path) as tenant:
            with tenant.producer(rng.random()) as producer:
                tenant.flow.start("--restarts", "0")
                tenant.flow.wait_until_read(_MESSAGES)
                disk.fill()
                code = tenant.flow.wait(180)
                disk.empty()
                asyncio.run(start_service(postgres))
                tenant.flow.start()
                tenant.flow.wait_until_read(_MESSAGES)
            _end(tenant)
            assert code == 1
            assert "No space left on device" in tenant.flow.log.read_text()
            expected = assert_exact(tenant.settings, producer)
    report_figure(f"the flow ended with {code}, {expected.windows.height} windows, 0 differ")


def test_full_for_the_broker(
    services_to_kill: KillableServices,
    tmp_path: Path,
    disk_folder: Path,
    rng: random.Random,
    report_figure: ReportFigure,
) -> None:
    """The broker exits with a message; after a restart with space all is exact."""
    with SmallDisk(disk_folder, 96) as disk, run_own_service(Kafka, disk.folder / "state") as kafka:
        services = msgspec.structs.replace(services_to_kill.settings, kafka=kafka.url)
        with new_tenant(services, tmp_path) as tenant:
            with tenant.producer(rng.random()) as producer:
                tenant.flow.start()
                tenant.flow.wait_until_read(_MESSAGES)
                broker = find_process(kafka.folder, kafka.name)
                assert broker is not None
                disk.fill()
                assert asyncio.run(broker.wait_for_exit(60)), "the broker did not exit"
                disk.empty()
                asyncio.run(start_service(kafka))
                tenant.flow.wait_until_read(producer.sent)
            _end(tenant)
            assert broker.exit_code == 1
            assert "No space left on device" in kafka.log.with_name("kafka.log.1").read_text()
            expected = assert_exact(tenant.settings, producer)
    report_figure(
        f"the broker ended with {broker.exit_code}, {expected.windows.height} windows, 0 differ"
    )


def _end(tenant: Tenant) -> None:
    """Stop the flow, and process the rest of the log."""
    assert tenant.flow.stop()[0] == 0, read_log_tail(tenant.flow.log, 40)
    tenant.flow.run_to_end()
