"""The running audit on real services: it compares what is over, once, and tells what differs."""

import json
import os
import signal
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path

import msgspec
import psycopg
import pytest

from audit.metrics import Metrics
from audit.steps import free_port
from audit.watch import Rounds
from mobility.settings import to_environ
from tests.dataflows.conftest import ROOT, Hub, trips_log
from tests.strategies import MINUTE, NOON
from tests.waiting import DEADLINE, until

pytestmark = pytest.mark.services


@pytest.fixture
def fed(hub: Hub) -> Hub:
    """Return a tenant whose stores the flow has filled with two hours of trips."""
    hub.settings = msgspec.structs.replace(
        hub.settings,
        stores=("redis", "postgres"),
        status_dir=str(hub.recovery.parent / "status"),
        audit_every=1,
    )
    hub.make_topics()
    hub.write(trips_log(12))
    more(hub)
    return hub


def more(hub: Hub) -> None:
    """Run the flow to the end of the log."""
    run = hub.run()
    assert run.returncode == 0, run.stderr[-3_000:]


def told(hub: Hub) -> dict[str, int]:
    """Return what `audit.json` says."""
    path = Path(hub.settings.status_dir or "") / "audit.json"
    record: dict[str, int] = json.loads(path.read_text()) if path.exists() else {}
    return record


def test_rounds_go_on_where_they_stood(fed: Hub) -> None:
    """A round compares what is over by then; the next one only what has come since."""
    said: list[str] = []
    rounds = Rounds(fed.settings, Metrics(), said.append, threading.Event())
    rounds._round(1)
    first = rounds.tally.checked
    assert first > 100
    assert rounds.tally.drift == 0, said
    rounds._round(1)
    assert rounds.tally.checked == first
    fed.write(trips_log(13, NOON + 120 * MINUTE))
    more(fed)
    with psycopg.connect(fed.settings.postgres, autocommit=True) as postgres:
        postgres.execute(
            "UPDATE vehicle_type_ledger SET total_distance = total_distance + 1 "
            "WHERE window_start = %s",
            [NOON + 150 * MINUTE],
        )
    rounds._round(1)
    assert rounds.tally.checked > first
    assert rounds.tally.drift > 0
    assert any(line.startswith("Postgres: different") for line in said), said
    assert told(fed)["drift"] == rounds.tally.drift
    rounds._close()


def test_the_component_tells_drift_and_ends_well(fed: Hub) -> None:
    """Tampered rows are in the metric and the file; SIGTERM ends it with 0."""
    with psycopg.connect(fed.settings.postgres, autocommit=True) as postgres:
        postgres.execute("UPDATE vehicle_type_ledger SET trip_count = trip_count + 1")
    port = free_port()
    settings = msgspec.structs.replace(fed.settings, audit_port=port)
    others = {k: v for k, v in os.environ.items() if not k.startswith("MOBILITY_")}
    watch = subprocess.Popen(
        [sys.executable, "-m", "audit.watch"],
        cwd=ROOT,
        env=others | to_environ(settings) | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        until(lambda: told(fed).get("drift", 0) > 0 or watch.poll() is not None, "drift")
        metrics = scraped(port)
    finally:
        watch.send_signal(signal.SIGTERM)
        output, _ = watch.communicate(timeout=DEADLINE)
    assert watch.returncode == 0, output
    assert metrics['mobility_audit_drift_windows{place="Postgres"}'] > 0
    assert metrics['mobility_audit_drift_windows{place="Postgres totals"}'] > 0
    assert metrics['mobility_audit_drift_windows{place="Redis"}'] == 0
    assert metrics['mobility_audit_windows_checked_total{place="aggregated"}'] > 0
    assert metrics["mobility_audit_last_success_timestamp_seconds"] == 0


def scraped(port: int) -> dict[str, float]:
    """Return the samples that the audit serves."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as reply:
        lines = reply.read().decode().splitlines()
    pairs = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    return {name: float(value) for name, value in pairs}


def test_it_waits_for_services_that_are_away(fed: Hub) -> None:
    """A store that does not answer costs rounds, nothing else."""
    away = msgspec.structs.replace(fed.settings, redis="redis://127.0.0.1:1/0")
    said: list[str] = []
    stop = threading.Event()
    rounds = Rounds(away, Metrics(), said.append, stop)
    thread = threading.Thread(target=rounds.run, args=(1,))
    thread.start()
    until(lambda: rounds.tally.failures, "two failures", lambda count: count > 1)
    stop.set()
    thread.join()
    assert rounds.tally.rounds == 0
    assert any(line.startswith("no result: ") for line in said), said
