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
from benchmarks.benchmark_log import delete_topics
from benchmarks.benchmark_run import BenchmarkRun, MeasuredSystem
from benchmarks.measured_flow import MeasuredFlow
from benchmarks.peers.run import PeerRunner
from benchmarks.peers.table import CONSUMER, NAIVE
from benchmarks.systems import DECODE, Ceiling
from benchmarks.timed_command import BenchmarkError
from benchmarks.workload import Workload
from mobility.settings import Settings
from stack.checkout import module_environ
from tests.waiting import DEADLINE

pytestmark = pytest.mark.services

TRIPS = Workload(2_000)


@pytest.fixture
def benchmark(services: Settings, tmp_path: Path) -> Iterator[BenchmarkRun]:
    """Return a benchmark with one run per system; its topics are deleted in the end."""
    prefix = f"t{uuid.uuid4().hex[:8]}_"
    settings = msgspec.structs.replace(services, topic_prefix=prefix)
    runner = CommandRunner(module_environ(os.environ), tmp_path, Console(quiet=True))
    yield BenchmarkRun(settings, runner, TRIPS.rows, 1, ())
    there = AdminClient({"bootstrap.servers": services.kafka}).list_topics(timeout=DEADLINE).topics
    delete_topics(services, [name for name in there if name.startswith(prefix)])


@pytest.mark.parametrize(
    "flow", [MeasuredFlow("plain"), MeasuredFlow("all", enriched=True, stores=True)]
)
def test_the_flow_is_measured_and_checked(benchmark: BenchmarkRun, flow: MeasuredFlow) -> None:
    """Topics, stores if the flow writes to them, late and dead trips, and the flow's counters."""
    (measured,) = benchmark.measure_in_turn([(flow, benchmark.log(TRIPS), "")])
    assert measured.trips == 2_000
    assert measured.check.endswith(f"in {7 if flow.stores else 4} outputs")


def test_the_naive_flow_and_the_ceiling_run_beside_it(benchmark: BenchmarkRun) -> None:
    """Their output is compared too."""
    log = benchmark.log(TRIPS)
    systems: list[MeasuredSystem] = [PeerRunner.ready(NAIVE), Ceiling(DECODE, decode=True)]
    naive, ceiling = benchmark.measure_in_turn([(system, log, "") for system in systems])
    assert naive.check.startswith("equal")
    assert ceiling.check == "every trip read"


def test_a_consumer_that_writes_to_the_stores_is_compared(benchmark: BenchmarkRun) -> None:
    """By its windows in Postgres."""
    log = benchmark.log(TRIPS)
    (consumer,) = benchmark.measure_in_turn([(PeerRunner.ready(CONSUMER), log, "")])
    assert consumer.check.startswith("equal")


def test_a_wrong_output_ends_the_measurement(benchmark: BenchmarkRun) -> None:
    """A flow with other windows than the batch computation has no rate."""
    log, other = benchmark.log(TRIPS), benchmark.log(Workload(1_000))
    flow = MeasuredFlow("plain")
    flow.run(log, lambda _: None)
    vars(log)["expected"] = other.expected
    with pytest.raises(BenchmarkError, match=r"aggregated topics: .* differences"):
        flow.run(log, lambda _: None)
