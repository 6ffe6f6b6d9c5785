"""The files that a trip passes through from Kafka to Postgres are those of docs/architecture.md."""

import re
import sys
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, is_dataclass
from functools import partial
from types import FrameType

import msgspec
import polars as pl
import psycopg
import pytest
from bytewax.testing import run_main
from confluent_kafka import Message

from dataflows import main
from mobility.settings import Settings
from runtime import signals
from runtime.process import flow_context
from tests.architecture_page import files_in, project_file, section, steps_in
from tests.dataflows.conftest import PARTITIONS, Hub
from tests.strategies import MINUTE, NOON, Entry
from tests.waiting import until

pytestmark = pytest.mark.services

PACKAGES = ("broker", "dataflows", "mobility", "postgres", "runtime", "sinks")
MOST_STEPS = 12


@dataclass(frozen=True, slots=True)
class TripPath:
    """The files of the page: steps with their helpers, files without trips, the way to Kafka."""

    steps: dict[str, set[str]]
    without_trips: set[str]
    to_kafka: set[str]

    @property
    def files(self) -> set[str]:
        """The files that every trip passes through; others run from time to time."""
        return {*self.steps, *self.to_kafka}.union(*self.steps.values())

    @classmethod
    def documented(cls) -> "TripPath":
        """Read the page."""
        page = section("Data flow of a trip")
        _, without_trips, to_kafka = re.split(
            r"^No trips pass|^The way to Kafka", page, flags=re.MULTILINE
        )
        return cls(steps_in(page), files_in(without_trips), files_in(to_kafka))


@dataclass(slots=True)
class Trace:
    """The files of the project that are run while `is_on`, with the files that call them.

    `with_trips` are those whose functions are called with messages, or with rows of a frame.
    """

    is_on: bool = False
    callers: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    with_trips: set[str] = field(default_factory=set)

    def note(self, frame: FrameType, event: str, _argument: object) -> None:
        """Note a call, as a profile function (sys.setprofile)."""
        file = project_file(frame, PACKAGES) if self.is_on and event == "call" else None
        if file is None:
            return
        caller = frame.f_back
        while caller is not None and project_file(caller, PACKAGES) is None:
            caller = caller.f_back
        self.callers[file].add((caller and project_file(caller, PACKAGES)) or "")
        if any(map(_has_trips, frame.f_locals.values())):
            self.with_trips.add(file)


def _has_trips(value: object) -> bool:
    if isinstance(value, list | tuple):
        return any(map(_has_trips, value))
    if is_dataclass(value) and not isinstance(value, type):
        return any(_has_trips(getattr(value, each.name)) for each in fields(value))
    return isinstance(value, Message) or (
        isinstance(value, pl.DataFrame | pl.Series) and len(value) > 0
    )


@contextmanager
def profiled(trace: Trace) -> Iterator[None]:
    """Trace this thread, and the threads that are started meanwhile."""
    threading.setprofile(trace.note)
    sys.setprofile(trace.note)
    try:
        yield
    finally:
        sys.setprofile(None)
        threading.setprofile(None)


def has_id(settings: Settings, name: str) -> bool:
    """Return whether Postgres has windows of a driver, and watermarks of all shards."""
    query = (
        "SELECT EXISTS (SELECT FROM driver_ledger WHERE id = %s) AND min(watermark) > 0 "
        "FROM progress"
    )
    with psycopg.connect(settings.postgres) as connection:
        try:
            found = connection.execute(query, [name]).fetchone()
        except psycopg.errors.UndefinedTable:
            return False
    return found == (True,)


def trips(driver: str, start: int) -> list[list[Entry]]:
    """Return a trip for each partition; they close the windows that ended before."""
    return [
        [Entry(start, f"{driver}-{partition}", driver, "car", 1)] for partition in range(PARTITIONS)
    ]


def test_a_trip_passes_through_twelve_files(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """No other file is run; helpers are called by their own step only, and others get no trips."""
    settings = msgspec.structs.replace(hub.settings, stores=("postgres",), enriched=())
    path, stop, trace = TripPath.documented(), threading.Event(), Trace()
    monkeypatch.setattr(signals, "_requested", stop)
    hub.make_topics()

    def send_trips() -> None:
        try:
            # The first trips connect to the stores and read SQL files.
            for driver, start in (("a", NOON), ("b", NOON + 5 * MINUTE), ("c", NOON + 10 * MINUTE)):
                trace.is_on = driver == "c"
                hub.write(trips(driver, start))
                until(partial(has_id, settings, driver), f"{driver} in Postgres")
        finally:
            trace.is_on = False
            stop.set()

    sender = threading.Thread(target=send_trips)
    sender.start()
    with profiled(trace):
        run_main(main.build(flow_context("main", settings)))  # type: ignore[no-untyped-call]
    sender.join()
    assert len(path.steps) <= MOST_STEPS
    assert path.files - trace.callers.keys() == set()
    assert trace.callers.keys() - path.files - path.without_trips == set()
    assert trace.with_trips >= path.steps.keys()
    assert not trace.with_trips & path.without_trips
    for step, own in path.steps.items():
        for helper in own:
            assert trace.callers[helper] <= {step, *own, *path.to_kafka}, helper
