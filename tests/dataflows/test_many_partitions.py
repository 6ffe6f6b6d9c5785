"""A log of 200 partitions: threads, open files, and what happens where too few may be open."""

import subprocess
import sys
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined] # exported

from mobility.topics import topic_table
from tests.dataflows.conftest import ROOT, Hub
from tests.strategies import MINUTE, NOON, Entry
from tests.waiting import DEADLINE, until

pytestmark = pytest.mark.services

MANY = 200
LIMITED = 'ulimit -n "$0" && exec "$@"'


@pytest.fixture
def log(hub: Hub) -> Hub:
    """Return a tenant whose trips have 200 partitions, with ten trips in each."""
    trips = topic_table(hub.settings)[0]
    admin = AdminClient({"bootstrap.servers": hub.settings.kafka})
    admin.create_topics([NewTopic(trips.name, MANY, 1, config=trips.config)])[trips.name].result()
    hub.make_topics()
    hub.write(
        [
            [Entry(NOON + n * MINUTE, f"{partition}-{n}", f"d{partition}") for n in range(10)]
            for partition in range(MANY)
        ]
    )
    return hub


def start(hub: Hub, limit: int, **settings: object) -> subprocess.Popen[str]:
    """Start one process of the flow that may open so many files."""
    flow = [sys.executable, "-m", "bytewax.run", "dataflows.main", "-r", str(hub.recovery)]
    process = subprocess.Popen(
        ["sh", "-c", LIMITED, str(limit), *flow, "-s", "1", "-b", "0"],
        cwd=ROOT,
        env=hub.environ(**settings),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    hub.started.append(process)
    return process


def test_few_threads_and_files_are_enough(log: Hub, tmp_path: Path) -> None:
    """Whatever the number of partitions, so an ordinary limit of open files is enough."""
    status = tmp_path / "flow-0.json"
    process = start(log, 256, status_dir=str(tmp_path))
    until(
        lambda: status.exists() and '"read": 2000' in status.read_text(),
        "the log to be read",
    )
    own = Path(f"/proc/{process.pid}")
    assert len(list((own / "task").iterdir())) < 45
    assert len(list((own / "fd").iterdir())) < 100
    process.terminate()
    _, err = process.communicate(timeout=DEADLINE)
    assert process.returncode == 0, err[-3_000:]


def test_too_low_a_limit_of_open_files_is_refused(log: Hub) -> None:
    """At the start, with the number that is needed and the command."""
    process = start(log, 100)
    _, err = process.communicate(timeout=DEADLINE)
    assert process.returncode == 2, err[-3_000:]
    assert "may open 100 files here" in err
    assert f"({MANY} partitions, 1 brokers) needs 112" in err
    assert "`ulimit -n 112`" in err
