"""The commands of the README, run on services that they start."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from stack.checkout import clean_environ

ROOT = Path(__file__).parents[2]

Just = Callable[..., subprocess.CompletedProcess[str]]


def own_environment() -> dict[str, str]:
    """Return this environment without the services of the tests."""
    return clean_environ()


@pytest.fixture(scope="session")
def just(services: object) -> Just:
    """Return a function that runs a recipe; it is skipped where the services are not available."""
    del services

    def run(
        *arguments: str | Path, cwd: Path = ROOT, timeout: float = 900
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
