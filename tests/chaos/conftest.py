"""The chaos suite: services of its own to break, a tenant a test, and one seed for all chance.

    just chaos [quick|full] [--seed N] [-k NAME]

Ordinary runs of pytest leave the suite out (`-m "not chaos"` in pyproject.toml).
"""

import random
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import pytest

from tests.chaos.clock import Clock
from tests.chaos.machine import Machine
from tests.chaos.tenant import Tenant, new_tenant

Rounds = Literal["quick", "full"]

Figures = Callable[[str], None]
"""Notes what a test measured, for the table at the end of the run."""

_SEED = pytest.StashKey[int]()
_FIGURES = pytest.StashKey[dict[str, list[str]]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let the size of the suite and its seed be chosen."""
    parser.addoption(
        "--rounds", choices=("quick", "full"), default="full", help="how often faults are injected"
    )
    parser.addoption("--seed", type=int, metavar="N", help="repeat the chaos of an earlier run")


def pytest_configure(config: pytest.Config) -> None:
    """Choose the seed once, for the header and every test."""
    given = config.getoption("--seed")
    config.stash[_SEED] = secrets.randbelow(10**6) if given is None else given
    config.stash[_FIGURES] = {}


def pytest_report_header(config: pytest.Config) -> str:
    """Say how this run can be repeated."""
    return f"chaos: just chaos {config.getoption('--rounds')} --seed {config.stash[_SEED]}"


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Show what was measured."""
    if figures := {name: each for name, each in config.stash[_FIGURES].items() if each}:
        terminalreporter.section("figures")
        for name, measured in figures.items():
            terminalreporter.write_line(f"{name}: {', '.join(measured)}")


@pytest.fixture(scope="session")
def rounds(request: pytest.FixtureRequest) -> Rounds:
    """Return `quick` or `full`: how many faults a test injects."""
    chosen: Rounds = request.config.getoption("--rounds")
    return chosen


@pytest.fixture
def draw(request: pytest.FixtureRequest) -> random.Random:
    """Return this test's source of chance: the same for a seed, whichever other tests run."""
    return random.Random(f"{request.config.stash[_SEED]} {request.node.name}")  # noqa: S311


@pytest.fixture
def figures(request: pytest.FixtureRequest) -> Figures:
    """Return what notes a figure of this test, such as `50 kills`."""
    return request.config.stash[_FIGURES].setdefault(request.node.name, []).append


@pytest.fixture(scope="session")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """Return running services that a test may kill, if it leaves them running again."""
    with Machine(tmp_path_factory.mktemp("machine")) as machine:
        yield machine


@pytest.fixture
def tenant(machine: Machine, tmp_path: Path) -> Iterator[Tenant]:
    """Return topics, a schema and keys of its own on those services; its flow ends here too."""
    with new_tenant(machine.settings, tmp_path) as tenant:
        yield tenant


@pytest.fixture
def clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Return the clock of every process that the test starts."""
    clock = Clock(tmp_path)
    for name, value in clock.environ.items():
        monkeypatch.setenv(name, value)
    return clock
