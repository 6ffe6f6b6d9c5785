"""Each part runs as a user that may do what docs/security.md says, and nothing else."""

import json
import signal
import threading
from pathlib import Path

import msgspec
import polars as pl
import pytest
from litestar.testing import TestClient

from api.app import create_app
from audit.metrics import AuditMetrics
from audit.watch import AuditLoop
from mobility.entities import BY_NAME
from mobility.settings import Settings
from mobility.times import iso_time
from runtime.flows import FlowName, input_topics
from tests.dataflows.conftest import PARTITIONS, Hub
from tests.dataflows.test_offset_commits import committed
from tests.security.acls import PARTS, Acl, documented
from tests.security.conftest import WAYS, Secured, run
from tests.security.secured_kafka import PASSWORD
from tests.strategies import MINUTE, NOON, Entry

pytestmark = [pytest.mark.services, pytest.mark.xdist_group("secured_kafka")]

TRIPS = 400
MINUTES = 120


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return a file with two hours of trips."""
    times = [NOON + number * MINUTES * MINUTE // TRIPS for number in range(TRIPS)]
    trips = pl.DataFrame(
        {
            "trip_id": [f"t{number}" for number in range(TRIPS)],
            "driver_id": [f"d{number % 7}" for number in range(TRIPS)],
            "vehicle_type": ["car"] * TRIPS,
            "start_time": [iso_time(time) for time in times],
            "duration_min": [5.0] * TRIPS,
            "distance_km": [1.0] * TRIPS,
            "price": [2.5] * TRIPS,
        }
    )
    path = tmp_path / "trips.parquet"
    trips.write_parquet(path)
    return path


def succeeded(settings: Settings, module: str, *arguments: object) -> str:
    """Run a program, which ends with 0; return what it printed."""
    done = run(settings, module, *arguments)
    assert done.returncode == 0, done.stderr[-3_000:] + done.stdout[-3_000:]
    return done.stdout + done.stderr


def run_flow(city: Hub, secured: Secured) -> None:
    """Run the flow as its user to the end of the log."""
    done = city.run(**secured.login("flow", WAYS["flow"]))
    assert done.returncode == 0, done.stderr[-3_000:]


def test_every_part_is_documented() -> None:
    """The table and the logins of the tests speak of the same parts."""
    assert set(PARTS) == set(WAYS)


def test_every_part_does_its_work(city: Hub, secured: Secured, file: Path, tmp_path: Path) -> None:
    """From an empty cluster to windows that are corrected, recounted, audited and served again."""
    parts = {part: secured.as_part(city.settings, part) for part in PARTS}
    for expected in ("created", "as declared"):
        assert expected in succeeded(parts["topics"], "broker.topic_setup")
    assert f"{TRIPS:,}" in succeeded(parts["producer"], "producer", file, "--speed", "max")
    city.produce("trips_stream", b'{"trip_id": "bad", "price": -1}')
    run_flow(city, secured)
    assert len(city.messages("enriched.driver")) == TRIPS

    assert reasons_in_the_api(parts["api"]) == (200, {"missing_field": 1})
    listed = succeeded(parts["corrections"], "corrections", "dlq", "list", "--json")
    position = json.loads(listed.splitlines()[0])["position"]
    corrected = tmp_path / "corrected.ndjson"
    trip = Entry(NOON + (MINUTES - 1) * MINUTE, "bad", "d1", "car", 1_000_000)
    corrected.write_text(
        json.dumps({"position": position, "trip": json.loads(trip.value or b"")}) + "\n"
    )
    replayed = succeeded(parts["corrections"], "corrections", "dlq", "replay", "--with", corrected)
    assert "1 sent to" in replayed
    run_flow(city, secured)
    records = tmp_path / "records"
    assert_audited(parts["audit"], records)

    added = tmp_path / "added.ndjson"
    added.write_bytes(Entry(NOON + MINUTE, "added", "d1", "car", 1_000_000).value or b"")
    begin, end = iso_time(NOON), iso_time(NOON + 10 * MINUTE)
    where = ("--from", begin, "--to", end, "--records", records)
    succeeded(parts["backfill"], "backfill", *where, "--with", added, "--apply")
    windows = city.windows(BY_NAME["driver"])
    assert windows["trip_count"].sum() == TRIPS + 2
    assert_audited(parts["audit"], records)

    assert_committed(city, "main")
    serving = Hub(msgspec.structs.replace(parts["serving"], stores=()), tmp_path / "serving")
    city.produce("aggregated.driver", b"no window")
    done = serving.run("--flow", "serving")
    assert done.returncode == 0, done.stderr[-3_000:]
    assert len(city.messages("trips_dlq")) == 3  # the trip, the marker of its correction, and this
    assert_committed(city, "serving")


def reasons_in_the_api(settings: Settings) -> tuple[int, dict[str, int] | str]:
    """Return the status of the API about dead letters, and their reasons, or why there are none."""
    with TestClient(create_app(settings), "http://127.0.0.1") as http:
        answer = http.get("/rejected/dead-letters")
    body = answer.json()
    return answer.status_code, body.get("reasons", body.get("detail"))


def test_the_api_says_which_acl_it_lacks(city: Hub, secured: Secured) -> None:
    """Without it, dead letters are a 503; the topic is neither empty nor missing."""
    prefix = f"y{city.settings.topic_prefix}"
    city.settings = msgspec.structs.replace(city.settings, topic_prefix=prefix)
    secured.allow(prefix, but=Acl("api", "Topic", "trips_dlq", "Read"))
    city.make_topics()
    status, why = reasons_in_the_api(secured.as_part(city.settings, "api"))
    assert status == 503
    assert "does not let the user api" in str(why)
    assert f"on Topic {prefix}trips_dlq" in str(why)


def assert_committed(city: Hub, flow: FlowName) -> None:
    """Assert that whoever watches the lag of a flow sees each of its partitions."""
    places = {
        (topic, number)
        for topic in input_topics(flow, city.settings)
        for number in range(PARTITIONS)
    }
    assert committed(city, flow).keys() == places


def assert_audited(settings: Settings, records: Path) -> None:
    """Assert that both audits read everything and find no difference."""
    found = succeeded(settings, "audit.sampling", "--all", "--records", records)
    assert "0 differences." in found
    assert "not compared" not in found
    lines: list[str] = []
    loop = AuditLoop(settings, records, AuditMetrics(), lines.append, threading.Event())
    loop._run_round(1)
    assert (loop.counters.drift, loop.counters.checked > 0) == (0, True), lines
    loop._close()


def test_no_secret_is_in_a_command_line(city: Hub, secured: Secured) -> None:
    """The launcher hands the password on to the processes of its flow, and nobody sees it."""
    city.make_topics()
    trips = [Entry(NOON + minute * MINUTE, f"t{minute}", "d1") for minute in range(20)]
    city.write([trips, [], []])
    flow = city.start(**secured.login("flow"))
    city.wait_for_windows(BY_NAME["driver"])
    lines = [command_line(flow.pid), *map(command_line, children(flow.pid))]
    assert any("bytewax.run" in line for line in lines), lines
    assert not any(PASSWORD in line for line in lines)
    flow.send_signal(signal.SIGTERM)
    out, err = flow.communicate(timeout=60)
    assert flow.returncode == 0, err[-3_000:]
    assert PASSWORD not in out + err


def children(pid: int) -> list[int]:
    """Return the processes that a process has started."""
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def command_line(pid: int) -> str:
    """Return the command line of a process."""
    return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")


@pytest.mark.parametrize(
    ("optional", "warning"),
    [
        (Acl("flow", "Topic", "trips_stream", "Write"), None),
        (Acl("flow", "Topic", "trips_stream", "DescribeConfigs"), "no DescribeConfigs"),
        (Acl("flow", "Group", "mobility_main", "Read"), "allow Read on Group {}mobility_main"),
    ],
)
def test_the_flow_may_do_without(
    city: Hub, secured: Secured, optional: Acl, warning: str | None
) -> None:
    """Some of its permissions are optional, as the document says; it says what is missing once."""
    assert optional in documented()
    # Another prefix, as the fixture has allowed everything for that of the tenant.
    prefix = f"x{city.settings.topic_prefix}"
    city.settings = msgspec.structs.replace(city.settings, topic_prefix=prefix)
    secured.allow(prefix, but=optional)
    city.make_topics()
    city.write([[Entry(NOON, "t")], [], []])
    done = city.run(**secured.login("flow", WAYS["flow"]))
    assert done.returncode == 0, done.stderr[-3_000:]
    assert city.windows(BY_NAME["vehicle_type"]).height == 1
    if warning is not None:
        assert done.stderr.count(warning.format(prefix)) == 1, done.stderr
