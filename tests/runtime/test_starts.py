"""Starts and stops on real services, as a person meets them."""

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
from tests.dataflows.test_services import assert_exact, both, snapshots, succeeded
from tests.strategies import MINUTE, NOON
from tests.waiting import DEADLINE, until

pytestmark = pytest.mark.services

DRIVER = BY_NAME["driver"]


def by_hand(hub: Hub, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
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
    """The launcher says so, and the numbers are the batch answer."""
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
    expected = batch_answer(both(log, rest), DRIVER, hub.settings)
    until(lambda: hub.windows(DRIVER), f"the batch answer, {expected}", expected.equals)
    flow.terminate()
    _, err = flow.communicate(timeout=DEADLINE)
    assert flow.returncode == 0, err[-3_000:]
    assert "launcher: the flow failed with exit code" in err
    assert "Restart 1 of 10" in err


def test_what_fails_again_and_again_ends_with_its_exit_code(hub: Hub) -> None:
    """So that whoever supervises the launcher sees it."""
    hub.make_topics(trips_dlq={"max.message.bytes": "100"})
    hub.write([[b"x" * 500], [], []])
    flow = hub.start("--restarts", "1")
    _, err = flow.communicate(timeout=DEADLINE)
    assert flow.returncode == 1
    assert "2 times in 5 minutes: giving up" in err


def handles(pid: int, number: signal.Signals) -> bool:
    """Tell whether a process has a handler for a signal: before, Python's own start can't have."""
    status = Path(f"/proc/{pid}/status").read_text()
    (caught,) = re.findall(r"^SigCgt:\t([0-9a-f]+)$", status, re.MULTILINE)
    return bool(int(caught, 16) >> number - 1 & 1)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_during_the_start_is_a_stop(hub: Hub, number: signal.Signals) -> None:
    """Wherever it finds the processes, the exit code is 0 and the next run is exact."""
    hub.make_topics()
    log = trips_log(23)
    hub.write(log)
    for patience in (0.0, 0.2, 0.6, 1.2, 2.0):
        flow = hub.start("--processes", "2")
        until(partial(handles, flow.pid, signal.SIGTERM), "a handler of signals")
        try:
            flow.wait(patience)
        except subprocess.TimeoutExpired:
            flow.send_signal(number)
        _, err = flow.communicate(timeout=DEADLINE)
        assert flow.returncode == 0, err[-3_000:]
        assert "Traceback" not in err
        assert "panicked" not in err
    succeeded(hub.run())
    assert_exact(hub, log)


def test_a_killed_launcher_takes_its_processes_along(hub: Hub) -> None:
    """They end by themselves, with a snapshot, and the next start waits for that."""
    hub.make_topics()
    log, rest = trips_log(24), trips_log(25, NOON + 120 * MINUTE)
    hub.write(log)
    flow = hub.start("--processes", "2")
    hub.wait_for_windows(DRIVER)
    flow.kill()
    flow.wait()
    hub.write(rest)
    succeeded(hub.run())
    assert_exact(hub, both(log, rest))


def test_bytewax_by_hand_has_the_same_guard(hub: Hub) -> None:
    """Partitions are made, a running instance is named, another flow's folder is refused."""
    hub.make_topics()
    log = trips_log(26)
    hub.write(log)
    folder = ["-r", str(hub.recovery)]
    succeeded(by_hand(hub, *folder))
    assert_exact(hub, log)
    first = hub.start()
    until(lambda: children(first), "a process of the first")
    second = by_hand(hub, *folder)
    assert second.returncode == 2
    assert f"process {first.pid}" in second.stderr
    first.terminate()
    first.communicate(timeout=DEADLINE)
    assert first.returncode == 0
    hub.recovery.chmod(0o777)
    third = by_hand(hub, *folder)
    assert third.returncode == 2
    assert "chmod 700" in third.stderr


def test_a_loose_cluster_may_not_write_to_stores(hub: Hub) -> None:
    """Nor may a process that shows the token of a cluster that does not hold the folder."""
    loose = ["-i", "0", "-a", "127.0.0.1:1;127.0.0.1:2", "-r", str(hub.recovery)]
    run = by_hand(hub, *loose, MOBILITY_STORES="redis")
    assert run.returncode == 2
    assert "--processes N" in run.stderr
    run = by_hand(hub, *loose, MOBILITY_STORES="redis", MOBILITY_CLUSTER="stolen")
    assert run.returncode == 2
    assert "MOBILITY_CLUSTER" in run.stderr
    assert not hub.recovery.exists()


@pytest.mark.parametrize("processes", ["1", "2"])
def test_a_later_cluster_ends_the_earlier_one_for_good(hub: Hub, processes: str) -> None:
    """Of two clusters on the same stores the older ends, names the newer, and stays away."""
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
    # Before that the older might write all there is, and would have nothing more to be refused.
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
