"""The same system in containers, run by Docker Compose."""

import os
import subprocess
import sys
from typing import Final

from stack.checkout import ROOT

COMPOSE_FILE: Final = ROOT / "compose.yaml"
TOKENS_FILE: Final = ROOT / "api-tokens"
"""The file with hashes of API tokens that compose.yaml mounts."""

_COMPOSE: Final = ("docker", "compose", "-f", str(COMPOSE_FILE))
_INFO_SECONDS: Final = 10.0


def is_docker_available() -> bool:
    """Return whether a Docker engine answers and the compose file exists."""
    if not COMPOSE_FILE.exists():
        return False
    try:
        info = subprocess.run(
            ["docker", "info"],  # noqa: S607 - the Docker on the caller's PATH
            capture_output=True,
            timeout=_INFO_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return info.returncode == 0


def compose_up() -> None:
    """Replace this process by `docker compose up`, which shows logs until Ctrl-C and then stops.

    Raises OSError if there is no such command.
    """
    if "API_TOKENS" not in os.environ and not TOKENS_FILE.exists():
        make_token()
    os.execvp(_COMPOSE[0], [*_COMPOSE, "up", "--build"])  # noqa: S606 - without a shell


def make_token() -> None:
    """Create the first API token and print it; the API's container does not start without one."""
    command = [sys.executable, "-m", "api.access", "docker"]
    created = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True)  # noqa: S603 - ours
    # These are hashes, which the container's user must be able to read.
    TOKENS_FILE.write_bytes(created.stdout)
    sys.stderr.write(f"Its hash is in {TOKENS_FILE}; the pages need the token once, to sign in.\n")


def compose_down() -> int:
    """Remove the containers, but not their volumes; return the exit code."""
    return subprocess.run([*_COMPOSE, "down"], check=False).returncode  # noqa: S603 - fixed
