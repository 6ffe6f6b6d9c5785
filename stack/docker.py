"""The same system in containers: handed over to Docker Compose, which supervises it."""

import os
import subprocess
import sys
from typing import Final

from stack.checkout import ROOT

COMPOSE_FILE: Final = ROOT / "compose.yaml"
TOKENS_FILE: Final = ROOT / "api-tokens"
"""Where compose.yaml looks for the hashes of the API's tokens."""

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
    if "API_TOKENS" not in os.environ and not TOKENS_FILE.exists():
        make_token()
    os.execvp(_COMPOSE[0], [*_COMPOSE, "up", "--build"])  # noqa: S606 - no shell wanted


def make_token() -> None:
    """Make the first token of the API, whose container refuses to start without; it is shown."""
    command = [sys.executable, "-m", "api.access", "docker"]
    made = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True)  # noqa: S603 - ours
    # Hashes, which the container's user must be able to read.
    TOKENS_FILE.write_bytes(made.stdout)
    sys.stderr.write(f"Its hash is in {TOKENS_FILE}; pages ask for the token once.\n")


def compose_down() -> int:
    """Remove the containers; their volumes stay. Return the exit code."""
    return subprocess.run([*_COMPOSE, "down"], check=False).returncode  # noqa: S603 - fixed
