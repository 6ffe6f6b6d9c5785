"""The commands of the README, run as a person would run them: on services of their own."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

Just = Callable[..., subprocess.CompletedProcess[str]]


def own_environment() -> dict[str, str]:
    """Return this environment without the services that the tests were handed."""
    return {name: value for name, value in os.environ.items() if not name.startswith("MOBILITY_")}


@pytest.fixture(scope="session")
def just(services: object) -> Just:
    """Return what runs a recipe to its end; needs what the services need, hence the fixture."""
    del services

    def run(
        *arguments: str | Path, cwd: Path = ROOT, timeout: float = 300
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["just", "--justfile", str(ROOT / "justfile"), *map(str, arguments)],
            cwd=cwd,
            env=own_environment(),
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    return run
