"""The flow reads frames of a schema registry: evolving schemas, and a registry that is away."""

import json
import signal
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

import msgspec
import polars as pl
import pytest

from broker.errors import AccessError
from broker.schema_registry import SchemaRegistry
from dataflows.log_format import check_schema
from mobility.entities import BY_NAME
from mobility.settings import Settings
from runtime.failures import RefusalError
from tests.dataflows.conftest import Hub, trips_log
from tests.dataflows.test_services import assert_succeeded
from tests.dataflows.test_value_formats import assert_audited, enriched_trips
from tests.frames import avro, fill, frame, schema_of
from tests.registry import Registry, running_registry
from tests.strategies import MINUTE, NOON, Entry
from tests.waiting import DEADLINE, until

VEHICLE = BY_NAME["vehicle_type"]

LATER = NOON + 120 * MINUTE
"""When the trips of one log have ended, and those of another begin."""

_IDS = (("trip_id", ["null", "string"]), ("driver_id", ["null", "string"]))
_AMOUNTS = tuple((name, "double") for name in ("duration_min", "distance_km", "price"))
_START = ("start_time", {"type": "long", "logicalType": "timestamp-millis"})

FIRST = schema_of(_START, *_AMOUNTS, *_IDS, ("vehicle_type", ["null", "string"]))

_EXACT = {"type": "bytes", "logicalType": "decimal", "precision": 20, "scale": 6}
EVOLVED = schema_of(
    *_IDS,
    ("note", ["null", "string"]),
    ("start_time", {"type": "long", "logicalType": "timestamp-micros"}),
    *_AMOUNTS[:2],
    ("price", _EXACT),
    (
        "vehicle_type",
        ["null", {"type": "enum", "name": "Vehicle", "symbols": ["car", "bike"]}],
    ),
)

POISON = (
    b"\xff",
    b"{}",
    frame(901, b"\x00"),
    frame(11, b""),
    frame(12, b"\x00" * 30),
    *(frame(number, b"\x02" * 200) for number in (100, 102, 103, 121)),
)


@pytest.fixture
def registry() -> Iterator[Registry]:
    """Return a registry that is there."""
    with running_registry() as served:
        fill(served.contents)
        yield served


def of_tenant(hub: Hub, registry: Registry) -> None:
    """Let the tenant read frames, by two schemas of its topic."""
    hub.settings = msgspec.structs.replace(
        hub.settings, value="avro", schema_registry=registry.url, enriched=("driver",)
    )
    subject = f"{hub.settings.topic_prefix}trips_stream-value"
    registry.contents.add(11, FIRST, subject)
    registry.contents.add(12, EVOLVED, subject)


def framed(entry: Entry, number: int = 11) -> bytes:
    """Return a trip as a frame, by the schema 11 or 12, or by 11 under another id."""
    record: dict[str, Any] = json.loads(entry.value or b"")
    if number != 12:
        return frame(number, avro(_raw(FIRST), record))
    record |= {"start_time": entry.time * 1_000, "note": "x"}
    return frame(12, avro(_raw(EVOLVED), record | {"price": Decimal(entry.micro).scaleb(-6)}))


def _raw(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema whose times are written as numbers."""
    text = json.dumps(schema)
    for unit in ("millis", "micros"):
        text = text.replace(f', "logicalType": "timestamp-{unit}"', "")
    found: dict[str, Any] = json.loads(text)
    return found


def framed_log(
    seed: int, number: int | None = None, start: int = NOON
) -> list[list[Entry | bytes]]:
    """Return a log of trips in frames, by both schemas in turn or by one."""
    return [
        [
            entry if entry.value is None else framed(entry, number or 11 + place % 2)
            for place, entry in enumerate(entries)
        ]
        for entries in trips_log(seed, start)
    ]


@pytest.mark.services
def test_a_log_of_frames(hub: Hub, registry: Registry) -> None:
    """By two schemas, among dead letters; enriched trips are JSON."""
    of_tenant(hub, registry)
    hub.make_topics()
    log: Sequence[Sequence[Entry | bytes]] = [[*POISON, *each] for each in framed_log(6)]
    hub.write(log)
    assert_succeeded(hub.run())
    expected = assert_audited(hub)
    assert expected.count("counted") > 1_000
    assert expected.count("dead") == len(POISON) * len(log)
    counted = expected.messages.filter(pl.col("outcome") == "counted")
    trips = enriched_trips(hub)
    assert len(trips) == counted.drop_nulls("driver_id").height
    assert {trip.get("note") for trip in trips} == {None, "x"}
    asked = [path for path in registry.requests if path == "/schemas/ids/11"]
    assert len(asked) == 2  # by the flow, and by the audit above


@pytest.mark.services
@pytest.mark.parametrize("processes", ["1", "2"])
def test_a_registry_that_is_away_is_waited_for(
    hub: Hub, registry: Registry, processes: str
) -> None:
    """What needs a schema that is not known yet waits, and nothing is lost or counted twice."""
    of_tenant(hub, registry)
    hub.make_topics()
    hub.write(framed_log(7, 11))
    flow = hub.start("--processes", processes)
    hub.wait_for_windows(VEHICLE)
    registry.go()
    hub.write(framed_log(8, 12, LATER))
    read_line_with(flow.stderr, "Waiting for the schema registry at")
    registry.come()
    read_line_with(flow.stderr, "answers again")
    until(lambda: trip_count(hub), "all trips", lambda found: found > 2_000)
    flow.send_signal(signal.SIGTERM)
    out, err = flow.communicate(timeout=DEADLINE)
    assert flow.returncode == 0, out + err
    assert_succeeded(hub.run())
    assert_without_dead(hub)


@pytest.mark.services
def test_a_stop_ends_the_wait(hub: Hub, registry: Registry) -> None:
    """With a snapshot; after the next start the same messages are read."""
    of_tenant(hub, registry)
    hub.make_topics()
    hub.write(framed_log(7, 11))
    flow = hub.start()
    hub.wait_for_windows(VEHICLE)
    registry.go()
    hub.write(framed_log(8, 12, LATER))
    read_line_with(flow.stderr, "Waiting for the schema registry at")
    flow.send_signal(signal.SIGTERM)
    out, err = flow.communicate(timeout=DEADLINE)
    assert flow.returncode == 0, out + err

    # Also where it has been away since the start.
    flow = hub.start()
    read_line_with(flow.stderr, "Waiting for the schema registry at")
    flow.send_signal(signal.SIGTERM)
    out, err = flow.communicate(timeout=DEADLINE)
    assert flow.returncode == 0, out + err

    registry.come()
    assert_succeeded(hub.run())
    assert_without_dead(hub)


@pytest.mark.services
def test_a_login_that_is_refused_ends_the_flow(hub: Hub, registry: Registry) -> None:
    """At the start and later, and it is not started again."""
    of_tenant(hub, registry)
    hub.make_topics()
    hub.write(framed_log(7, 11))
    registry.login = "hub:secret"
    refused = hub.run()
    assert refused.returncode == 2
    assert "MOBILITY_SCHEMA_REGISTRY_USER" in refused.stderr
    assert "Traceback" not in refused.stderr

    login = {"schema_registry_user": "hub", "schema_registry_password": "secret"}
    flow = hub.start(**login)
    hub.wait_for_windows(VEHICLE)
    registry.login = "hub:other"
    hub.write(framed_log(8, 12, LATER))
    _, err = flow.communicate(timeout=DEADLINE)
    assert flow.returncode == 2, err
    assert "refuses the login" in err
    assert "secret" not in err


@pytest.mark.services
def test_a_schema_without_a_needed_field_is_refused(hub: Hub, registry: Registry) -> None:
    """Before anything is read, by the name of the field."""
    of_tenant(hub, registry)
    subject = f"{hub.settings.topic_prefix}trips_stream-value"
    registry.contents.add(13, schema_of(_START, *_AMOUNTS[1:]), subject)
    hub.make_topics()
    refused = hub.run()
    assert refused.returncode == 2
    assert f"The newest schema of {subject} (id 13) has no field duration_min:" in refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.mark.parametrize(
    ("schema", "kind", "told"),
    [
        (schema_of(_START), "AVRO", "has no field duration_min: no message"),
        (schema_of(("before", "int"), ("after", "int"), ("op", "int")), "AVRO", "ExtractNewRecord"),
        ('syntax = "proto3";', "PROTOBUF", "is of the type PROTOBUF"),
        (schema_of(("next", "town.Trip")), "AVRO", "can't be read by the newest schema"),
        ("{", "AVRO", "can't be read by the newest schema"),
    ],
)
def test_a_schema_that_holds_no_trip_is_refused(
    registry: Registry, schema: object, kind: str, told: str
) -> None:
    """It says what is wrong with it."""
    registry.contents.add(20, schema, "trips-value", schemaType=kind)
    with pytest.raises(RefusalError, match=told):
        check_schema(client(registry), "trips-value")


def test_other_schemas_are_not(registry: Registry, caplog: pytest.LogCaptureFixture) -> None:
    """JSON Schema, which says nothing simple; no subject at all is a warning."""
    registry.contents.add(20, {"type": "object"}, "json-value", schemaType="JSON")
    registry.contents.add(21, FIRST, "trips-value")
    for subject in ("json-value", "trips-value"):
        check_schema(client(registry), subject)
    assert caplog.messages == []
    check_schema(client(registry), "none-value")
    assert "has no subject none-value" in caplog.messages[0]
    registry.status = 403
    with pytest.raises(AccessError):
        check_schema(client(registry), "trips-value")


def client(registry: Registry) -> SchemaRegistry:
    """Return a client of a registry."""
    return SchemaRegistry(Settings(value="avro", schema_registry=registry.url))


def trip_count(hub: Hub) -> int:
    """Return how many trips are in `aggregated.vehicle_type`."""
    return int(hub.windows(VEHICLE)["trip_count"].sum())


def assert_without_dead(hub: Hub) -> None:
    """Assert that every window is exact, and that no message became a dead letter."""
    expected = assert_audited(hub, dead_letters=False)
    assert expected.count("dead") == 0
    assert hub.messages("trips_dlq") == []


def read_line_with(stream: Any, text: str) -> None:  # noqa: ANN401 - a pipe
    """Read the lines of a process up to one with some text."""
    for line in stream:
        if text in line:
            return
    msg = f"ended without saying: {text}"
    raise AssertionError(msg)
