"""The real services, started as the user of the tests."""

import asyncio
import json
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import psycopg
import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from redis import Redis as RedisClient

from stack.checkout import clean_environ, module_environ
from stack.kafka import Kafka
from stack.ports import HOST, choose_ports, find_free_port, saved_ports
from stack.postgres import Postgres
from stack.processes import RecordedProcess, find_process
from stack.redis import Redis
from stack.service import Health, Service, StackStartError, start_service, stop_service
from stack.services import (
    SERVICES,
    discard_folder,
    open_folder,
    service_environ,
    service_reports,
    start_services,
)
from tests.waiting import DEADLINE, until

pytestmark = pytest.mark.services


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Return a state folder, which is removed in the end, also after a failed test."""
    folder = open_folder(tmp_path / "a state, with blanks")
    yield folder
    asyncio.run(discard_folder(folder))


@asynccontextmanager
async def running(kind: type[Service], folder: Path) -> AsyncIterator[Service]:
    """Run a service on free ports until the block ends."""
    if not saved_ports(folder):
        choose_ports(folder, dict.fromkeys(kind.ports, 0))
    service = kind(folder, saved_ports(folder))
    await start_service(service)
    try:
        yield service
    finally:
        assert await stop_service(folder, service.name), "it had to be killed"


def test_redis_keeps_its_data(folder: Path) -> None:
    """Data that were written before a stop are there after the next start, on the same port."""

    async def run_services() -> None:
        async with running(Redis, folder) as first:
            with RedisClient.from_url(first.url) as client:
                client.set("key", "value")
                assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        assert await first.health() == "silent"
        async with running(Redis, folder) as second:
            assert second.url == first.url
            with RedisClient.from_url(second.url) as client:
                assert client.get("key") == b"value"

    asyncio.run(run_services())


def test_postgres_keeps_its_data(folder: Path) -> None:
    """Data and password are the same after a restart; the password is required."""

    async def run_services() -> None:
        async with running(Postgres, folder) as first:
            with psycopg.connect(first.url) as client:
                client.execute("CREATE TABLE kept AS SELECT 42 AS answer")
            with pytest.raises(psycopg.OperationalError, match="password"):
                psycopg.connect(f"postgresql://mobility@{HOST}:{first.port}/mobility")
        async with running(Postgres, folder) as second:
            assert second.url == first.url
            with psycopg.connect(second.url) as client:
                assert client.execute("SELECT answer FROM kept").fetchone() == (42,)

    asyncio.run(run_services())


def test_kafka_keeps_its_data_and_may_move(folder: Path) -> None:
    """Topics are there after a restart on other ports; none is created automatically."""

    async def run_services() -> None:
        async with running(Kafka, folder) as first:
            admin = AdminClient({"bootstrap.servers": first.url})
            admin.create_topics([NewTopic("kept", 3, 1)])["kept"].result(20)
        moved = dict.fromkeys(Kafka.ports, 0)
        (folder / "ports.json").unlink()
        assert choose_ports(folder, moved)["kafka"] != first.port
        async with running(Kafka, folder) as second:
            admin = AdminClient({"bootstrap.servers": second.url})
            assert len(admin.list_topics(timeout=DEADLINE).topics["kept"].partitions) == 3
            admin.create_topics([NewTopic("more", 1, 1)])["more"].result(20)
            assert "never" not in admin.list_topics("never", timeout=DEADLINE).topics or (
                admin.list_topics("never", timeout=DEADLINE).topics["never"].error is not None
            )

    asyncio.run(run_services())


def test_a_service_that_runs_is_not_started_again(folder: Path) -> None:
    """A second start finds the first process by its record."""

    async def run_services() -> None:
        async with running(Redis, folder) as service:
            before = find_process(folder, "redis")
            assert await start_service(service) == before

    asyncio.run(run_services())


def test_a_killed_service_starts_again(folder: Path) -> None:
    """After kill -9 its record is not valid, and its data are."""

    async def run_services() -> None:
        async with running(Postgres, folder):
            process = find_process(folder, "postgres")
            assert process is not None
            process.kill()
            assert await process.wait_for_exit(10)
            (report,) = [r for r in await service_reports(folder, {}) if r.name == "postgres"]
            assert report.state == "stopped"
        async with running(Postgres, folder) as again:
            with psycopg.connect(again.url) as client:
                assert client.execute("SELECT 1").fetchone() == (1,)

    asyncio.run(run_services())


def spoil_redis(folder: Path) -> None:
    """Write an invalid append-only file."""
    (folder / "redis").mkdir()
    (folder / "redis" / "appendonly.aof").write_text("not a Redis protocol\n" * 10)


def spoil_kafka(folder: Path) -> None:
    """Write a data folder of another cluster's node."""
    (folder / "kafka").mkdir()
    (folder / "kafka" / "meta.properties").write_text("version=1\nnode.id=77\ncluster.id=x\n")


def spoil_postgres(folder: Path) -> None:
    """Create an empty data folder."""
    Postgres(folder, {})._make_home()
    (folder / "postgres" / "data").mkdir()


@pytest.mark.parametrize(
    ("kind", "spoil"), [(Redis, spoil_redis), (Kafka, spoil_kafka), (Postgres, spoil_postgres)]
)
def test_a_service_that_cannot_start_says_where_its_log_is(
    folder: Path, kind: type[Service], spoil: object
) -> None:
    """The error has the service, the end of its log and its path, and nothing runs."""
    assert callable(spoil)
    spoil(folder)

    async def run_services() -> None:
        async with running(kind, folder):
            pytest.fail("it started")

    with pytest.raises(StackStartError) as error:
        asyncio.run(run_services())
    message = str(error.value)
    assert message.startswith(f"{kind.name} ended at its start with exit code")
    assert "the end of its log" in message
    assert message.endswith(str(folder / f"{kind.name}.log"))
    assert find_process(folder, kind.name) is None


def test_if_one_service_fails_the_others_are_stopped(folder: Path) -> None:
    """Either all are started or none; external services are not affected."""
    spoil_redis(folder)
    with pytest.raises(StackStartError, match="redis ended at its start"):
        asyncio.run(start_services(folder, {"MOBILITY_KAFKA": "127.0.0.1:1"}, usual_ports=False))
    assert list(folder.glob("*.pid")) == []
    assert not (folder / "kafka").exists()


def test_a_start_that_takes_too_long_is_given_up(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time limit is enforced, and no process is left."""

    async def silent(_: Service) -> Health:
        return "silent"

    monkeypatch.setattr(Redis, "health", silent)
    monkeypatch.setattr(Redis, "start_limit", 0.5)

    async def run_services() -> None:
        async with running(Redis, folder):
            pytest.fail("it started")

    with pytest.raises(StackStartError, match="redis does not answer after"):
        asyncio.run(run_services())
    assert find_process(folder, "redis") is None


class SlowRedis(Redis):
    """A Redis with little time for its start, which loads each command in 150 microseconds more."""

    start_limit = 1.0

    @property
    def options(self) -> dict[str, str]:
        """The options of the server."""
        return {**super().options, "key-load-delay": "150"}


def test_much_data_are_waited_for(folder: Path) -> None:
    """The time limit does not count while a server says that it loads its data."""
    keys = 20_000

    async def run_services() -> float:
        async with running(Redis, folder) as first:
            with RedisClient.from_url(first.url) as client, client.pipeline() as pipeline:
                for number in range(keys):
                    pipeline.set(f"key {number}", number)
                pipeline.execute()
        started = asyncio.get_running_loop().time()
        async with running(SlowRedis, folder) as second:
            with RedisClient.from_url(second.url) as client:
                assert client.dbsize() == keys
            return asyncio.get_running_loop().time() - started

    # Longer than the limit, or this would show nothing.
    assert asyncio.run(run_services()) > 150e-6 * keys > SlowRedis.start_limit


def stack_run(tmp_path: Path, script: str, **given: str) -> subprocess.Popen[str]:
    """Run a script with new services, except for those that are external."""
    clean = clean_environ()
    return subprocess.Popen(
        [sys.executable, "-m", "stack", "run", "--", sys.executable, "-u", "-c", script],
        env=module_environ({**clean, **given, "TMPDIR": str(tmp_path)}),
        stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
    )


SCRATCH = """
import json, os, sys, time
from pathlib import Path
(folder,) = Path(os.environ["TMPDIR"]).iterdir()
records = {path.stem: json.loads(path.read_text()) for path in folder.glob("*.pid")}
outside = folder / "postgres"
print(json.dumps([records, str(outside.resolve())]))
time.sleep(WAIT)
sys.exit(5)
"""


@pytest.mark.parametrize("end", ["by itself", "SIGTERM", "kill -9"])
def test_of_a_scratch_run_nothing_is_left(tmp_path: Path, end: str) -> None:
    """No process and no folder: after the command's exit, after SIGTERM, and after kill -9."""
    # With a Kafka only once, as its start takes long.
    given = {} if end == "kill -9" else {"MOBILITY_KAFKA": "127.0.0.1:1"}
    script = SCRATCH.replace("WAIT", "0" if end == "by itself" else "60")
    run = stack_run(tmp_path, script, **given)
    with contained(run):
        assert run.stdout is not None
        records, home = json.loads(run.stdout.readline())
        assert {"kafka", "redis", "postgres"} <= {*records, *(("kafka",) if given else ())}
        if end == "SIGTERM":
            run.terminate()
        elif end == "kill -9":
            run.kill()
        run.communicate(timeout=DEADLINE)
    expected = {"by itself": 5, "SIGTERM": 128 + signal.SIGTERM, "kill -9": -signal.SIGKILL}
    assert run.returncode == expected[end]
    processes = [RecordedProcess(**record) for record in records.values()]

    def left() -> list[object]:
        alive = [process for process in processes if process.is_alive]
        return [*alive, *tmp_path.iterdir(), *([home] if Path(home).exists() else [])]

    if end == "kill -9":
        until(left, "the cleanup", lambda found: not found)
    assert left() == []


def test_a_sigterm_during_the_start_leaves_nothing(tmp_path: Path) -> None:
    """The start is cancelled, and services that have started are stopped."""
    run = stack_run(tmp_path, "print('never')")
    with contained(run):
        (record,) = until(lambda: [*tmp_path.glob("*/redis.pid")], "the start of Redis")
        process = RecordedProcess(**json.loads(record.read_text()))
        run.terminate()
        output, _ = run.communicate(timeout=DEADLINE)
    assert run.returncode == 128 + signal.SIGTERM
    assert output == ""
    assert not process.is_alive
    assert list(tmp_path.iterdir()) == []


@contextmanager
def contained(run: subprocess.Popen[str]) -> Iterator[None]:
    """Kill the run after a failed test; its cleanup process does the rest."""
    try:
        yield
    finally:
        if run.returncode is None:
            run.kill()
            run.communicate()


def test_a_saved_port_that_is_taken_is_replaced(folder: Path) -> None:
    """The service uses another port, which is in its URL."""

    async def run_services(port: int) -> None:
        reports = await start_services(
            folder, {"MOBILITY_KAFKA": "127.0.0.1:1", "MOBILITY_POSTGRES": "postgresql://h/d"}
        )
        url = service_environ(reports)["MOBILITY_REDIS"]
        assert str(port) not in url
        with RedisClient.from_url(url) as client:
            assert client.ping()
        assert {report.state for report in reports} == {"external", "running"}

    port = find_free_port()
    choose_ports(folder, {"redis": port})
    with socket.socket() as stranger:
        stranger.bind((HOST, port))
        stranger.listen()
        asyncio.run(run_services(port))


def test_every_service_has_a_limited_start() -> None:
    """No wait for a service is endless."""
    assert all(0 < kind.start_limit <= 120 for kind in SERVICES)
