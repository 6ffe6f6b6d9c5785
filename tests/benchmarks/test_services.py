"""The measurements themselves, on few trips and real services."""

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from confluent_kafka.admin import AdminClient
from rich.console import Console

from audit.command_runner import CommandRunner
from benchmarks.bench import Bench, System
from benchmarks.flow import Flow
from benchmarks.log import forget_topics
from benchmarks.peers.run import PeerRunner
from benchmarks.peers.table import NAIVE
from benchmarks.running import BenchmarkError
from benchmarks.systems import DECODE, Ceiling
from benchmarks.workload import Load
from mobility.settings import Settings
from stack.checkout import module_environ

pytestmark = pytest.mark.services

TRIPS = Load(2_000)


@pytest.fixture
def bench(services: Settings, tmp_path: Path) -> Iterator[Bench]:
    """Return a bench for one run of each system; its topics are gone in the end."""
    prefix = f"t{uuid.uuid4().hex[:8]}_"
    settings = msgspec.structs.replace(services, topic_prefix=prefix)
    commands = CommandRunner(module_environ(os.environ), tmp_path, Console(quiet=True))
    yield Bench(settings, commands, TRIPS.rows, 1, ())
    there = AdminClient({"bootstrap.servers": services.kafka}).list_topics(timeout=15).topics
    forget_topics(services.kafka, [name for name in there if name.startswith(prefix)])


@pytest.mark.parametrize("flow", [Flow("plain"), Flow("all", enriched=True, stores=True)])
def test_the_flow_is_measured_and_checked(bench: Bench, flow: Flow) -> None:
    """Topics, stores where they are fed, late and dead trips, and the flow's own counters."""
    (measured,) = bench.in_turn([(flow, bench.log(TRIPS), "")])
    assert measured.trips == 2_000
    assert measured.check.endswith(f"in {7 if flow.stores else 4} places")


def test_the_naive_flow_and_the_ceiling_run_beside_it(bench: Bench) -> None:
    """Their output is checked too."""
    log = bench.log(TRIPS)
    systems: list[System] = [PeerRunner.ready(NAIVE), Ceiling(DECODE, decode=True)]
    naive, ceiling = bench.in_turn([(system, log, "") for system in systems])
    assert naive.check.startswith("equal")
    assert ceiling.check == "every trip read"


def test_a_wrong_output_ends_the_measurement(bench: Bench) -> None:
    """A flow whose windows are not those of the batch computation has no rate."""
    log, other = bench.log(TRIPS), bench.log(Load(1_000))
    flow = Flow("plain")
    flow.run(log, lambda _: None)
    vars(log)["answer"] = other.answer
    with pytest.raises(BenchmarkError, match=r"aggregated topics: .* differences"):
        flow.run(log, lambda _: None)
