"""A table is replaced between a crash or a graceful stop and the next start."""

import os
import signal
import subprocess
from pathlib import Path

import msgspec
import polars as pl
import pytest

from audit.log_messages import read_log_messages
from audit.oracle import run_oracle, validate_log
from audit.rules_in_force import read_rules_in_force
from mobility.entities import BY_NAME
from mobility.topics import trips_topic
from runtime.flows import TRIPS_STEP_ID
from runtime.recovery import stored_states
from runtime.rules_journal import read_journal
from tests.dataflows.conftest import PARTITIONS, Hub
from tests.dataflows.test_services import assert_succeeded
from tests.runtime.test_starts import children
from tests.strategies import MINUTE, NOON, Entry
from tests.waiting import DEADLINE, until

pytestmark = pytest.mark.services

VEHICLE = BY_NAME["vehicle_type"]
TRIPS = 30
"""Trips of one driver in each partition, without a vehicle type of their own, at each time."""


def write_drivers(path: Path, vehicle_type: str) -> None:
    """Replace the table of drivers."""
    rows = pl.DataFrame({"driver_id": ["d1"], "vehicle_type": [vehicle_type]})
    rows.write_parquet(path.with_suffix(".new"))
    path.with_suffix(".new").replace(path)


def write_trips(hub: Hub, minute: int) -> None:
    """Append trips that start from this minute after noon on."""
    times = range(NOON + minute * MINUTE, NOON + minute * MINUTE + TRIPS * 1_000, 1_000)
    hub.write([[Entry(time, None, "d1", None, 1_000_000) for time in times]] * PARTITIONS)


def trips(hub: Hub) -> dict[str, int]:
    """Return the trip count of each vehicle type in `aggregated.vehicle_type`."""
    sums = hub.windows(VEHICLE).group_by("id").agg(pl.col("trip_count").sum())
    return {str(name): int(count) for name, count in sums.iter_rows()}


def kill(flow: subprocess.Popen[str]) -> None:
    """Kill the launcher and its processes at once, as a power failure does."""
    processes = children(flow)
    for pid in processes:
        os.kill(pid, signal.SIGSTOP)  # they would stop with a snapshot after the launcher has ended
    flow.kill()
    flow.wait()
    for pid in processes:
        os.kill(pid, signal.SIGKILL)


def oracle_trips(hub: Hub) -> dict[str, int]:
    """Return the trip counts of the oracle, which uses the journal in the recovery folder."""
    settings = msgspec.structs.replace(hub.settings, recovery_dir=str(hub.recovery))
    rules = read_rules_in_force(settings)
    log = validate_log(read_log_messages(settings, trips_topic(settings)), settings, rules)
    totals = run_oracle(log, settings, rules).totals.filter(pl.col("entity") == "vehicle_type")
    return dict(totals.select("id", "trip_count").iter_rows())


def read_before(hub: Hub) -> set[int]:
    """Return the offsets before which earlier runs may have read, as the partitions know them."""
    return {each["read_before"] for each in stored_states(hub.recovery, TRIPS_STEP_ID).values()}


@pytest.mark.parametrize("processes", ["1", "2"])
def test_after_a_crash_the_table_in_force_stays_in_force(
    hub: Hub, tmp_path: Path, processes: str
) -> None:
    """Messages that are read again keep their vehicle type until the next graceful stop."""
    drivers, each = tmp_path / "drivers.parquet", TRIPS * PARTITIONS
    hub.settings = msgspec.structs.replace(hub.settings, drivers=str(drivers))
    hub.make_topics()
    write_drivers(drivers, "car")
    write_trips(hub, 0)
    assert_succeeded(hub.run("--processes", processes))
    assert read_before(hub) == {0}

    # No snapshot has what this run reads, and its windows are sent.
    flow = hub.start("--processes", processes, snapshot_interval=600)
    write_trips(hub, 10)
    until(lambda: trips(hub), f"{2 * each} cars", lambda found: found == {"car": 2 * each})
    kill(flow)
    write_drivers(drivers, "bike")
    write_trips(hub, 20)
    crashed = hub.run("--processes", processes)
    assert_succeeded(crashed)
    assert trips(hub) == oracle_trips(hub) == {"car": 3 * each}
    assert "has changed, but the last run did not end gracefully" in crashed.stderr
    # Of the log at its start the crashed run may have read all.
    assert read_before(hub) == {3 * TRIPS}

    write_trips(hub, 30)
    assert_succeeded(hub.run("--processes", processes))
    assert trips(hub) == oracle_trips(hub) == {"car": 3 * each, "bike": each}
    newest = read_journal(hub.recovery)[-1]
    assert newest.first_offsets == dict.fromkeys(range(PARTITIONS), 3 * TRIPS)


def test_sighup_puts_a_new_table_in_force(hub: Hub, tmp_path: Path) -> None:
    """The launcher stops the flow with a snapshot and starts it again."""
    drivers, each = tmp_path / "drivers.parquet", TRIPS * PARTITIONS
    hub.settings = msgspec.structs.replace(hub.settings, drivers=str(drivers))
    hub.make_topics()
    write_drivers(drivers, "car")
    write_trips(hub, 0)
    flow = hub.start("--restarts", "0")
    until(lambda: trips(hub), f"{each} cars", lambda found: found == {"car": each})

    drivers.write_bytes(b"no parquet")
    flow.send_signal(signal.SIGHUP)
    write_trips(hub, 10)
    until(lambda: trips(hub), f"{2 * each} cars", lambda found: found == {"car": 2 * each})

    write_drivers(drivers, "bike")
    flow.send_signal(signal.SIGHUP)
    until(lambda: read_journal(hub.recovery), "two entries", lambda found: len(found) == 2)
    write_trips(hub, 20)
    expected = {"car": 2 * each, "bike": each}
    until(lambda: trips(hub), f"{expected}", lambda found: found == expected)
    flow.terminate()
    _, err = flow.communicate(timeout=DEADLINE)
    assert flow.returncode == 0, err[-3_000:]
    assert "goes on as it is: MOBILITY_DRIVERS=" in err
    assert trips(hub) == oracle_trips(hub)
