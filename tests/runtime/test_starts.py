"""Starts and stops of the flow on real services."""

import os
import re
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import redis

from mobility.entities import BY_NAME
from mobility.keys import RedisKeys
from mobility.settings import to_environ
from tests.dataflows.conftest import ROOT, Hub, trips_log
from tests.dataflows.doubles import batch_answer
from tests.dataflows.test_services import assert_exact, assert_succeeded, concat_logs, snapshots
from tests.strategies import MINUTE, NOON
from tests.waiting import DEADLINE, until

pytestmark = pytest.mark.services

DRIVER = BY_NAME["driver"]


def run_by_bytewax(hub: Hub, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run the flow with Bytewax's own command."""
    others = {k: v for k, v in os.environ.items() if not k.startswith("MOBILITY_")}
    settings = to_environ(hub.settings) | {"MOBILITY_READ": "once", "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-m", "bytewax.run", "dataflows.main", "-s", "1", "-b", "0", *arguments],
        cwd=ROOT,
        env=others | settings | environ,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )


def children(flow: subprocess.Popen[str]) -> list[int]:
    """Return the processes of the cluster."""
    listing = ["ps", "-o", "pid=", "--ppid", str(flow.pid)]
    found = subprocess.run(listing, capture_output=True, text=True, check=False).stdout.split()
    return [int(pid) for pid in found]


def test_one_of_three_processes_killed_restarts_all(hub: Hub) -> None:
    """The launcher prints it, and the results are exact."""
    hub.make_topics()
    log, rest = trips_log(21), trips_log(22, NOON + 120 * MINUTE)
    hub.write(log)
    flow = hub.start("--processes", "3")
    hub.wait_for_windows(DRIVER)
    until(lambda: snapshots(hub), "a snapshot")
    before = children(flow)
    os.kill(before[1], signal.SIGKILL)
    until(
        lambda: children(flow),
        f"three processes other than {before}",
        lambda now: len(now) == 3 and not set(now) & set(before),
    )
    hub.write(rest)
    expected = batch_answer(concat_logs(log, rest), DRIVER, hub.settings)
    until(lambda: hub.windows(DRIVER), f"the batch answer, {expected}", expected.equals)
    flow.terminate()
    _, err = flow.communicate(timeout=DEADLINE)
    assert flow.returncode == 0, err[-3_000:]
    assert "launcher: the flow failed with exit code" in err
    assert "Restart 1 of 10" in err


def test_repeated_failures_end_with_their_exit_code(hub: Hub) -> None:
    """So that a supervisor of the launcher sees it."""
    hub.make_topics(trips_dlq={"max.message.bytes": "100"})
    hub.write([[b"x" * 500], [], []])
    flow = hub.start("--restarts", "1")
    _, err = flow.communicate(timeout=DEADLINE)
    assert flow.returncode == 1
    assert "2 times in 5 minutes: giving up" in err


def handles(pid: int, number: signal.Signals) -> bool:
    """Return whether a process has a handler for a signal, which it has not while Python starts."""
    status = Path(f"/proc/{pid}/status").read_text()
    (caught,) = re.findall(r"^SigCgt:\t([0-9a-f]+)$", status, re.MULTILINE)
    return bool(int(caught, 16) >> number - 1 & 1)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_during_the_start_is_graceful(hub: Hub, number: signal.Signals) -> None:
    """At any moment the exit code is 0, and the next run is exact."""
    hub.make_topics()
    log = trips_log(23)
    hub.write(log)
    for seconds in (0.0, 0.2, 0.6, 1.2, 2.0):
        flow = hub.start("--processes", "2")
        until(partial(handles, flow.pid, signal.SIGTERM), "a handler of signals")
        try:
            flow.wait(seconds)
        except subprocess.TimeoutExpired:
            flow.send_signal(number)
        _, err = flow.communicate(timeout=DEADLINE)
        assert flow.returncode == 0, err[-3_000:]
        assert "Traceback" not in err
        assert "panicked" not in err
    assert_succeeded(hub.run())
    assert_exact(hub, log)


def test_the_processes_of_a_killed_launcher_stop(hub: Hub) -> None:
    """They end by themselves with a snapshot, and the next start waits for that."""
    hub.make_topics()
    log, rest = trips_log(24), trips_log(25, NOON + 120 * MINUTE)
    hub.write(log)
    flow = hub.start("--processes", "2")
    hub.wait_for_windows(DRIVER)
    flow.kill()
    flow.wait()
    hub.write(rest)
    assert_succeeded(hub.run())
    assert_exact(hub, concat_logs(log, rest))


def test_bytewax_alone_locks_the_folder_too(hub: Hub) -> None:
    """Partitions are created, a running instance is named, an unsafe folder is refused."""
    hub.make_topics()
    log = trips_log(26)
    hub.write(log)
    folder = ["-r", str(hub.recovery)]
    assert_succeeded(run_by_bytewax(hub, *folder))
    assert_exact(hub, log)
    first = hub.start()
    until(lambda: children(first), "a process of the first")
    second = run_by_bytewax(hub, *folder)
    assert second.returncode == 2
    assert f"process {first.pid}" in second.stderr
    first.terminate()
    first.communicate(timeout=DEADLINE)
    assert first.returncode == 0
    hub.recovery.chmod(0o777)
    third = run_by_bytewax(hub, *folder)
    assert third.returncode == 2
    assert "chmod 700" in third.stderr


def test_processes_without_a_launcher_may_not_write_to_stores(hub: Hub) -> None:
    """Nor may a process with the token of a cluster that has not locked the folder."""
    options = ["-i", "0", "-a", "127.0.0.1:1;127.0.0.1:2", "-r", str(hub.recovery)]
    run = run_by_bytewax(hub, *options, MOBILITY_STORES="redis")
    assert run.returncode == 2
    assert "--processes N" in run.stderr
    run = run_by_bytewax(hub, *options, MOBILITY_STORES="redis", MOBILITY_CLUSTER="stolen")
    assert run.returncode == 2
    assert "MOBILITY_CLUSTER" in run.stderr
    assert not hub.recovery.exists()


@pytest.mark.parametrize("processes", ["1", "2"])
def test_a_later_cluster_ends_the_earlier_one_for_good(hub: Hub, processes: str) -> None:
    """The older of two clusters on the same stores ends, names the newer, and is not restarted."""
    hub.make_topics()
    log, rest = trips_log(27), trips_log(28, NOON + 120 * MINUTE)
    hub.write(log)
    old = hub.start("--processes", processes, stores=("redis",))
    hub.wait_for_windows(DRIVER)
    store = redis.Redis.from_url(hub.settings.redis)
    held = store.hget(RedisKeys.of(hub.settings).meta, "fence")
    assert held
    other = Hub(hub.settings, hub.recovery.with_name("other"))
    new = other.start(stores=("redis",))
    hub.started.append(new)
    # Before that the older one might write everything, and then nothing would be refused.
    until(
        lambda: store.hget(RedisKeys.of(hub.settings).meta, "fence"),
        f"a fence after {held!r}",
        lambda fence: fence != held,
    )
    hub.write(rest)
    store.close()
    _, err = old.communicate(timeout=DEADLINE)
    assert old.returncode == 2, err[-3_000:]
    assert f"process {new.pid} on " in err
    assert "Restart" not in err
    assert new.poll() is None
