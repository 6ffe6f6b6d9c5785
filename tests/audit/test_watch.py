"""The running audit on real services: it compares complete windows once and reports differences."""

import json
import signal
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path

import msgspec
import psycopg
import pytest

from audit.continuous_audit import BackfillAppliedError
from audit.metrics import AuditMetrics
from audit.watch import AuditLoop
from mobility.settings import to_environ
from mobility.times import iso_time
from stack.checkout import clean_environ
from stack.ports import find_free_port
from tests.audit.conftest import Backfill, run_flow
from tests.dataflows.conftest import ROOT, Hub, trips_log
from tests.dataflows.test_schema_registry import framed_log, of_tenant
from tests.follower import fill_follower
from tests.registry import running_registry
from tests.strategies import MINUTE, NOON, Entry
from tests.waiting import DEADLINE, until

pytestmark = pytest.mark.services


@pytest.fixture
def filled(audited: Hub) -> Hub:
    """Return a tenant whose stores the flow has filled with two hours of trips."""
    audited.write(trips_log(12))
    run_flow(audited)
    fill_follower(audited.settings)
    return audited


def read_status(hub: Hub) -> dict[str, int]:
    """Return the content of `audit.json`."""
    path = Path(hub.settings.status_dir or "") / "audit.json"
    record: dict[str, int] = json.loads(path.read_text()) if path.exists() else {}
    return record


def test_each_round_continues_where_the_last_one_ended(filled: Hub, records: Path) -> None:
    """A round compares the windows that are complete; the next one only later windows."""
    lines: list[str] = []
    loop = AuditLoop(filled.settings, records, AuditMetrics(), lines.append, threading.Event())
    loop._run_round(1)
    first = loop.counters.checked
    assert first > 100
    assert loop.counters.drift == 0, lines
    loop._run_round(1)
    assert loop.counters.checked == first
    filled.write(trips_log(13, NOON + 120 * MINUTE))
    run_flow(filled)
    with psycopg.connect(filled.settings.postgres, autocommit=True) as postgres:
        postgres.execute(
            "UPDATE vehicle_type_ledger SET total_distance = total_distance + 1 "
            "WHERE window_start = %s",
            [NOON + 150 * MINUTE],
        )
    loop._run_round(1)
    assert loop.counters.checked > first
    assert loop.counters.drift > 0
    assert any(line.startswith("Postgres: different") for line in lines), lines
    assert read_status(filled)["drift"] == loop.counters.drift
    loop._close()


def test_recounted_windows_are_compared_once_a_backfill_is_applied(
    filled: Hub, records: Path, backfill: Backfill, tmp_path: Path
) -> None:
    """It begins again then; the windows of a backfill that is not applied yet are pending."""
    lines: list[str] = []
    loop = AuditLoop(filled.settings, records, AuditMetrics(), lines.append, threading.Event())
    loop._run_round(1)
    first = loop.counters.checked
    file = tmp_path / "corrections"
    file.write_bytes(Entry(NOON + 33 * MINUTE, "12-1-60", "d-other", "car", 7).value or b"")
    times = ("--from", iso_time(NOON + 10 * MINUTE), "--to", iso_time(NOON + 60 * MINUTE))
    assert backfill(*times, "--with", file, "--apply")[0] == 0
    with pytest.raises(BackfillAppliedError):
        loop._run_round(1)
    loop._close()
    loop._run_round(1)
    assert loop.counters.checked > 2 * first - 100
    assert (loop.counters.drift, loop.counters.amended) == (0, 0), lines
    loop._close()
    with psycopg.connect(filled.settings.postgres, autocommit=True) as postgres:
        postgres.execute("DELETE FROM driver_ledger WHERE id = 'd-other'")
    loop._run_round(1)
    assert loop.counters.drift > 0
    assert any(line.startswith("Postgres: missing") for line in lines), lines
    loop._close()


def test_the_component_reports_drift_and_exits_with_0(filled: Hub) -> None:
    """Changed rows are in the metric and the file; the exit code after SIGTERM is 0."""
    with psycopg.connect(filled.settings.postgres, autocommit=True) as postgres:
        postgres.execute("UPDATE vehicle_type_ledger SET trip_count = trip_count + 1")
    port = find_free_port()
    settings = msgspec.structs.replace(filled.settings, audit_port=port)
    others = clean_environ()
    watch = subprocess.Popen(
        [sys.executable, "-m", "audit.watch"],
        cwd=ROOT,
        env=others | to_environ(settings) | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        until(lambda: read_status(filled).get("drift", 0) > 0 or watch.poll() is not None, "drift")
        metrics = scraped(port)
    finally:
        watch.send_signal(signal.SIGTERM)
        output, _ = watch.communicate(timeout=DEADLINE)
    assert watch.returncode == 0, output
    assert metrics['mobility_audit_drift_windows{place="Postgres"}'] > 0
    assert metrics['mobility_audit_drift_windows{place="Postgres totals"}'] > 0
    assert metrics['mobility_audit_drift_windows{place="Redis totals"}'] == 0
    assert metrics['mobility_audit_windows_checked_total{place="Redis totals"}'] > 0
    assert metrics['mobility_audit_windows_checked_total{place="aggregated"}'] > 0
    assert metrics["mobility_audit_last_success_timestamp_seconds"] == 0


def scraped(port: int) -> dict[str, float]:
    """Return the metrics that the audit serves."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=DEADLINE) as reply:
        lines = reply.read().decode().splitlines()
    pairs = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    return {name: float(value) for name, value in pairs}


def test_it_waits_for_services_that_are_down(filled: Hub, records: Path) -> None:
    """A store that does not answer makes rounds fail, and the audit goes on."""
    away = msgspec.structs.replace(filled.settings, redis="redis://127.0.0.1:1/0")
    lines: list[str] = []
    stop = threading.Event()
    loop = AuditLoop(away, records, AuditMetrics(), lines.append, stop)
    thread = threading.Thread(target=loop.run, args=(1,))
    thread.start()
    until(lambda: loop.counters.failures, "two failures", lambda count: count > 1)
    stop.set()
    thread.join()
    assert loop.counters.rounds == 0
    assert any(line.startswith("round failed: ") for line in lines), lines


def test_what_could_not_be_decoded_is_read_again(audited: Hub, records: Path) -> None:
    """A registry that refuses for some time leaves no window with too few trips."""
    with running_registry() as registry:
        of_tenant(audited, registry)
        audited.write(framed_log(12))
        run_flow(audited)
        stop, lines = threading.Event(), list[str]()
        loop = AuditLoop(audited.settings, records, AuditMetrics(), lines.append, stop)
        registry.status = 403
        thread = threading.Thread(target=loop.run, args=(1,))
        thread.start()
        until(lambda: loop.counters.failures, "a failure")
        registry.status = None
        until(lambda: loop.counters.rounds, "a round")
        stop.set()
        thread.join()
    assert loop.counters.drift == 0, lines
    assert loop.counters.checked > 100
    assert any("refuses the login" in line for line in lines), lines
