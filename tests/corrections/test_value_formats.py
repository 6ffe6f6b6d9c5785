"""Rejected messages of other formats: the trip in them is shown, and corrected by a backfill."""

import json
from pathlib import Path

import msgspec
import pytest

from mobility.settings import to_environ
from tests.corrections.conftest import CommandLine
from tests.corrections.test_services import run_flow
from tests.dataflows.conftest import Hub
from tests.envelopes import change, in_schema
from tests.strategies import MINUTE, NOON

pytestmark = pytest.mark.services

TRIP = {"start_time": NOON, "duration_min": 5, "distance_km": 2, "driver_id": "d1"}


def message(**fields: object) -> bytes:
    """Return a trip of the driver d1 in plain JSON."""
    return json.dumps(TRIP | fields).encode()


def test_the_trip_of_a_dead_letter_is_edited_and_backfilled(
    hub: Hub, cli: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is shown without its envelope; its correction is plain JSON, which the log can't take."""
    hub.settings = msgspec.structs.replace(hub.settings, value="debezium")
    for name, value in to_environ(hub.settings).items():
        monkeypatch.setenv(name, value)
    hub.make_topics()
    dead = in_schema(change(message(price=-5, trip_id="a")))
    late = change(message(price=5, start_time=NOON - 90 * MINUTE))
    hub.write([[dead, change(message(price=1)), late, change(b"null", message(), "d")]])
    run_flow(hub)

    listed = cli.run("dlq", "list", "--json", "--with-values").lines()
    assert [(line["position"], line["reason"]) for line in listed] == [
        ("0:0", "negative"),
        ("0:3", "deleted"),
    ]
    line = listed[0]
    assert line["trip"] == TRIP | {"price": -5, "trip_id": "a"}
    line["trip"]["price"] = 5
    raw = cli.run("dlq", "show", "0:0", "--raw")
    assert raw.out == dead

    out = tmp_path / "corrected.ndjson"
    done = cli.run("dlq", "replay", "--with", cli.file(line), "--out", str(out))
    assert done.code == 0, done.err
    assert "1 for a backfill" in done.text
    assert "takes no plain JSON (MOBILITY_VALUE=debezium)" in done.text
    assert json.loads(out.read_bytes()) == TRIP | {"price": 5, "trip_id": "a"}
    assert len(hub.messages("trips_stream")) == 4

    again = cli.run("late", "replay", "--out", str(tmp_path / "late.ndjson"))
    assert again.code == 0, again.err
    assert "just backfill --from 2025-01-01T10:30:00Z" in again.text
