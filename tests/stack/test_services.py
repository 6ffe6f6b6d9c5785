"""The real services, each started here as whoever runs the tests."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import psycopg
import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from redis import Redis as RedisClient

from stack.checkout import module_environ
from stack.kafka import Kafka
from stack.ports import HOST, any_free, choose, remembered
from stack.postgres import Postgres
from stack.processes import Process, find
from stack.redis import Redis
from stack.service import Service, StartError, start, stop
from stack.services import SERVICES, discard, open_folder, service_environ, status, up

pytestmark = pytest.mark.services


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Return a state folder of which nothing is left, whatever became of the test."""
    folder = open_folder(tmp_path / "a state, with blanks")
    yield folder
    asyncio.run(discard(folder))


@asynccontextmanager
async def running(kind: type[Service], folder: Path) -> AsyncIterator[Service]:
    """Run a service on any free ports, for as long as it takes."""
    if not remembered(folder):
        choose(folder, dict.fromkeys(kind.ports, 0))
    service = kind(folder, remembered(folder))
    await start(service)
    try:
        yield service
    finally:
        assert await stop(folder, service.name), "it had to be killed"


def test_redis_keeps_its_data(folder: Path) -> None:
    """What was written before a stop is there after the next start, on the same port."""

    async def scene() -> None:
        async with running(Redis, folder) as first:
            with RedisClient.from_url(first.url) as client:
                client.set("key", "value")
                assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        assert not await first.is_healthy()
        async with running(Redis, folder) as second:
            assert second.url == first.url
            with RedisClient.from_url(second.url) as client:
                assert client.get("key") == b"value"

    asyncio.run(scene())


def test_postgres_keeps_its_data(folder: Path) -> None:
    """Data and password survive a restart; nobody enters without the password."""

    async def scene() -> None:
        async with running(Postgres, folder) as first:
            with psycopg.connect(first.url) as client:
                client.execute("CREATE TABLE kept AS SELECT 42 AS answer")
            with pytest.raises(psycopg.OperationalError, match="password"):
                psycopg.connect(f"postgresql://mobility@{HOST}:{first.port}/mobility")
        async with running(Postgres, folder) as second:
            assert second.url == first.url
            with psycopg.connect(second.url) as client:
                assert client.execute("SELECT answer FROM kept").fetchone() == (42,)

    asyncio.run(scene())


def test_kafka_keeps_its_data_and_may_move(folder: Path) -> None:
    """Topics survive a restart on other ports; none is made by itself."""

    async def scene() -> None:
        async with running(Kafka, folder) as first:
            admin = AdminClient({"bootstrap.servers": first.url})
            admin.create_topics([NewTopic("kept", 3, 1)])["kept"].result(20)
        moved = dict.fromkeys(Kafka.ports, 0)
        (folder / "ports.json").unlink()
        assert choose(folder, moved)["kafka"] != first.port
        async with running(Kafka, folder) as second:
            admin = AdminClient({"bootstrap.servers": second.url})
            assert len(admin.list_topics(timeout=20).topics["kept"].partitions) == 3
            admin.create_topics([NewTopic("more", 1, 1)])["more"].result(20)
            assert "never" not in admin.list_topics("never", timeout=20).topics or (
                admin.list_topics("never", timeout=20).topics["never"].error is not None
            )

    asyncio.run(scene())


def test_a_service_that_runs_is_not_started_again(folder: Path) -> None:
    """A second start finds the first by its record."""

    async def scene() -> None:
        async with running(Redis, folder) as service:
            before = find(folder, "redis")
            assert await start(service) == before

    asyncio.run(scene())


def test_a_killed_service_starts_again(folder: Path) -> None:
    """After kill -9 its record names nobody, and its data are good."""

    async def scene() -> None:
        async with running(Postgres, folder):
            process = find(folder, "postgres")
            assert process is not None
            process.kill()
            assert await process.ended(10)
            (report,) = [r for r in await status(folder, {}) if r.name == "postgres"]
            assert report.state == "stopped"
        async with running(Postgres, folder) as again:
            with psycopg.connect(again.url) as client:
                assert client.execute("SELECT 1").fetchone() == (1,)

    asyncio.run(scene())


def spoil_redis(folder: Path) -> None:
    """Leave an append-only file that is none."""
    (folder / "redis").mkdir()
    (folder / "redis" / "appendonly.aof").write_text("not a Redis protocol\n" * 10)


def spoil_kafka(folder: Path) -> None:
    """Leave a data folder that belongs to another cluster's node."""
    (folder / "kafka").mkdir()
    (folder / "kafka" / "meta.properties").write_text("version=1\nnode.id=77\ncluster.id=x\n")


def spoil_postgres(folder: Path) -> None:
    """Leave a data folder without a database in it."""
    Postgres(folder, {})._make_home()
    (folder / "postgres" / "data").mkdir()


@pytest.mark.parametrize(
    ("kind", "spoil"), [(Redis, spoil_redis), (Kafka, spoil_kafka), (Postgres, spoil_postgres)]
)
def test_a_service_that_cannot_start_says_where_its_log_is(
    folder: Path, kind: type[Service], spoil: object
) -> None:
    """The error names the service, shows its last words and the log, and nothing runs on."""
    assert callable(spoil)
    spoil(folder)

    async def scene() -> None:
        async with running(kind, folder):
            pytest.fail("it started")

    with pytest.raises(StartError) as error:
        asyncio.run(scene())
    message = str(error.value)
    assert message.startswith(f"{kind.name} ended at its start with exit code")
    assert "the end of its log" in message
    assert message.endswith(str(folder / f"{kind.name}.log"))
    assert find(folder, kind.name) is None


def test_one_that_fails_stops_the_others(folder: Path) -> None:
    """A start of all is all or nothing, and what is given is left alone."""
    spoil_redis(folder)
    with pytest.raises(StartError, match="redis ended at its start"):
        asyncio.run(up(folder, {"MOBILITY_KAFKA": "127.0.0.1:1"}, usual_ports=False))
    assert list(folder.glob("*.pid")) == []
    assert not (folder / "kafka").exists()


def test_a_start_that_takes_too_long_is_given_up(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bound holds, and the process does not stay."""

    async def never(_: Service) -> bool:
        return False

    monkeypatch.setattr(Redis, "is_healthy", never)
    monkeypatch.setattr(Redis, "start_limit", 0.5)

    async def scene() -> None:
        async with running(Redis, folder):
            pytest.fail("it started")

    with pytest.raises(StartError, match="redis does not answer after"):
        asyncio.run(scene())
    assert find(folder, "redis") is None


def stack_run(tmp_path: Path, script: str, **given: str) -> subprocess.Popen[str]:
    """Run a script on scratch services, save those that are given."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("MOBILITY_")}
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
    """No process, no folder: after the command's end, a SIGTERM, and even a kill -9."""
    # Once with a Kafka of its own is enough: it takes its time.
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
        run.communicate(timeout=60)
    expected = {"by itself": 5, "SIGTERM": 128 + signal.SIGTERM, "kill -9": -signal.SIGKILL}
    assert run.returncode == expected[end]
    processes = [Process(**record) for record in records.values()]
    deadline = time.monotonic() + 60
    while any(p.alive for p in processes) or list(tmp_path.iterdir()) or Path(home).exists():
        assert end == "kill -9", "it was to be clean at the end"
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_sigterm_during_the_start_leaves_nothing(tmp_path: Path) -> None:
    """The start is given up, what has started is stopped."""
    run = stack_run(tmp_path, "print('never')")
    with contained(run):
        while not list(tmp_path.glob("*/redis.pid")):
            time.sleep(0.01)
        (record,) = tmp_path.glob("*/redis.pid")
        process = Process(**json.loads(record.read_text()))
        run.terminate()
        output, _ = run.communicate(timeout=60)
    assert run.returncode == 128 + signal.SIGTERM
    assert output == ""
    assert not process.alive
    assert list(tmp_path.iterdir()) == []


@contextmanager
def contained(run: subprocess.Popen[str]) -> Iterator[None]:
    """Kill a run that a failing test would leave; its guard does the rest."""
    try:
        yield
    finally:
        if run.returncode is None:
            run.kill()
            run.communicate()


def test_a_port_that_somebody_took_is_not_insisted_on(folder: Path) -> None:
    """Where the port of an earlier start is taken, the service moves and says so in its URL."""

    async def scene(port: int) -> None:
        reports = await up(
            folder, {"MOBILITY_KAFKA": "127.0.0.1:1", "MOBILITY_POSTGRES": "postgresql://h/d"}
        )
        url = service_environ(reports)["MOBILITY_REDIS"]
        assert str(port) not in url
        with RedisClient.from_url(url) as client:
            assert client.ping()
        assert {report.state for report in reports} == {"given", "running"}

    port = any_free()
    choose(folder, {"redis": port})
    with socket.socket() as stranger:
        stranger.bind((HOST, port))
        stranger.listen()
        asyncio.run(scene(port))


def test_every_service_has_a_bounded_start() -> None:
    """No service may be waited for without end."""
    assert all(0 < kind.start_limit <= 120 for kind in SERVICES)
