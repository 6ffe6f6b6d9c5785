"""The running API does what its OpenAPI document says, by all checks of Schemathesis."""

import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import msgspec
import pytest

from mobility.settings import Settings, to_environ
from stack.ports import find_free_port
from tests.api.counted import alone, fill, windows
from tests.api.test_main import api

CONFIG = Path(__file__).with_name("schemathesis.toml")
NOWHERE = {"redis": "redis://127.0.0.1:1/0", "postgres": "postgresql://127.0.0.1:1/x"}
ONLY_503 = ("--exclude-checks", "not_a_server_error")
"""The check of documented statuses remains, and the only server error there is 503."""

QUESTIONS = "^/(metrics|windows|top|summary|compare|batch|problems)"


Contradictions = Callable[..., str]


@pytest.fixture
def contradictions(tmp_path: Path, request: pytest.FixtureRequest) -> Contradictions:
    """Return what tells, in Schemathesis' own words, where the API differs from its document."""
    return partial(found_in, tmp_path, examples=int(request.config.getoption("--examples")))


def found_in(folder: Path, settings: Settings, *options: str, examples: int) -> str:
    """Serve under these settings; return what so many examples an operation find."""
    port = find_free_port()
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(CONFIG), "run"]
    with api(to_environ(msgspec.structs.replace(settings, api_port=port, api_rate=10_000))):
        listens(port)
        done = subprocess.run(
            [
                *command,
                f"http://127.0.0.1:{port}/schema/openapi.json",
                *("--include-path-regex", QUESTIONS, "--max-examples", str(examples)),
                *("--seed", "1", "--no-color", *options),
            ],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=120 + 2 * examples,
            check=False,
        )
    return "" if done.returncode == 0 else done.stdout + done.stderr


def listens(port: int) -> None:
    """Return once the API takes connections."""
    deadline = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


@pytest.mark.services
@pytest.mark.parametrize("stores", [("redis",), ("postgres",), ("redis", "postgres")], ids=str)
def test_it_keeps_to_its_document(
    settings: Settings, contradictions: Contradictions, stores: Sequence[str]
) -> None:
    """Over filled stores nothing that is sent gets a server error or an undocumented answer."""
    served = alone(settings, *stores)
    fill(served, windows())
    assert contradictions(served) == ""


@pytest.mark.services
@pytest.mark.parametrize("away", NOWHERE)
def test_it_keeps_to_its_document_with_a_store_away(
    settings: Settings, contradictions: Contradictions, away: str
) -> None:
    """Postgres answers everything; what Redis can't gets the documented 503, nothing another."""
    served = alone(settings, "redis", "postgres")
    fill(served, windows())
    without = msgspec.structs.replace(served, **{away: NOWHERE[away]})
    allowed = ONLY_503 if away == "postgres" else ()
    assert contradictions(without, *allowed) == ""


def test_it_keeps_to_its_document_without_stores(contradictions: Contradictions) -> None:
    """With the stores away the one server error is the documented 503."""
    nowhere = msgspec.structs.replace(Settings(), **NOWHERE)
    away = alone(nowhere, "redis", "postgres")
    assert contradictions(away, *ONLY_503) == ""
