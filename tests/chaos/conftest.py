"""The chaos suite: its own services, a tenant per test, and one seed for all random choices.

    just chaos [quick|full] [--seed N] [-k NAME]

Ordinary runs of pytest leave the suite out (`-m "not chaos"` in pyproject.toml). Two tests run at
once: each process of the tests has services of its own.
"""

import random
import secrets
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Literal, get_args

import pytest

from mobility.settings import Store
from tests.chaos.clock import Clock
from tests.chaos.killable_services import KillableServices
from tests.chaos.tenant import Tenant, new_tenant

Rounds = Literal["quick", "full"]

ReportFigure = Callable[[str], None]
"""Adds a figure of a test to the table at the end of the run."""

EVERY_STORE = pytest.mark.parametrize(
    "stores", [get_args(Store)], indirect=True, ids=["every store"]
)
"""Marks tests in which the flow writes to every store there is."""

_FIGURE = "figure"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add options for the size of the suite and its seed."""
    parser.addoption(
        "--rounds", choices=("quick", "full"), default="full", help="how often faults are injected"
    )
    parser.addoption(
        "--seed", type=int, metavar="N", help="repeat the random choices of an earlier run"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Choose the seed once, for the header and all tests: other processes get the options."""
    if config.option.seed is None:
        config.option.seed = secrets.randbelow(10**6)
    if not hasattr(config, "workerinput"):  # not in the processes that run the tests
        config.pluginmanager.register(FailurePrinter(config))


class FailurePrinter:
    """Prints a failure at once: a run takes an hour, and may be ended before its summary."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Print the text of a failure, below the line with its name."""
        if report.failed:
            writer = self._config.get_terminal_writer()
            writer.line()
            writer.line(report.longreprtext)


def pytest_report_header(config: pytest.Config) -> str:
    """Return the command that repeats this run."""
    return f"chaos: just chaos {config.option.rounds} --seed {config.option.seed}"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the figures."""
    reports = (*terminalreporter.getreports("passed"), *terminalreporter.getreports("failed"))
    lines = []
    for report in reports:
        figures = [str(value) for name, value in report.user_properties if name == _FIGURE]
        if figures:
            lines.append(f"{report.nodeid}: {', '.join(figures)}")
    if lines:
        terminalreporter.section("figures")
        for line in lines:
            terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def rounds(request: pytest.FixtureRequest) -> Rounds:
    """Return `quick` or `full`: how many faults a test injects."""
    chosen: Rounds = request.config.getoption("--rounds")
    return chosen


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> random.Random:
    """Return this test's random generator: the same for a seed, whichever other tests run."""
    return random.Random(f"{request.config.option.seed} {request.node.name}")  # noqa: S311


@pytest.fixture
def report_figure(record_property: Callable[[str, object], None]) -> ReportFigure:
    """Return a function that reports a figure of this test, such as `50 kills`."""
    return partial(record_property, _FIGURE)


@pytest.fixture(scope="session")
def services_of_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KillableServices]:
    """Return services that run until the end."""
    with KillableServices(tmp_path_factory.mktemp("services")) as services_to_kill:
        yield services_to_kill


@pytest.fixture
def services_to_kill(services_of_session: KillableServices) -> KillableServices:
    """Return running services, which a test may kill and has to start again."""
    services_of_session.start_all()
    return services_of_session


@pytest.fixture
def stores(request: pytest.FixtureRequest) -> tuple[Store, ...]:
    """Return the stores of the flow; a test that is marked with EVERY_STORE has others too."""
    chosen: tuple[Store, ...] = getattr(request, "param", ("redis", "postgres"))
    return chosen


@pytest.fixture
def tenant(
    services_to_kill: KillableServices, tmp_path: Path, stores: tuple[Store, ...]
) -> Iterator[Tenant]:
    """Return topics, a schema and keys on those services; its flow is stopped in the end."""
    with new_tenant(services_to_kill.settings, tmp_path, stores=stores) as tenant:
        yield tenant


@pytest.fixture
def clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Return the clock of all processes that the test starts."""
    clock = Clock(tmp_path)
    for name, value in clock.environ.items():
        monkeypatch.setenv(name, value)
    return clock
