"""The same system in containers: handed over to Docker Compose, which supervises it."""

import os
import subprocess
from typing import Final

from stack.checkout import ROOT

COMPOSE_FILE: Final = ROOT / "compose.yaml"
_COMPOSE: Final = ("docker", "compose", "-f", str(COMPOSE_FILE))
_LIMIT: Final = 10.0


def engine_answers() -> bool:
    """Tell whether a Docker engine answers here, and the compose file is at hand."""
    if not COMPOSE_FILE.exists():
        return False
    try:
        asked = subprocess.run(
            ["docker", "info"],  # noqa: S607 - wherever the caller's Docker is
            capture_output=True,
            timeout=_LIMIT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return asked.returncode == 0


def compose_up() -> None:
    """Become `docker compose up`, which shows its logs until Ctrl-C and then stops in order.

    Raises OSError where there is no such command.
    """
    os.execvp(_COMPOSE[0], [*_COMPOSE, "up", "--build"])  # noqa: S606 - no shell wanted


def compose_down() -> int:
    """Remove the containers; their volumes stay. Return the exit code."""
    return subprocess.run([*_COMPOSE, "down"], check=False).returncode  # noqa: S603 - fixed
