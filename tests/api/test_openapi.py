"""The running API conforms to its OpenAPI document, by all checks of Schemathesis."""

import secrets
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import msgspec
import pytest

from benchmarks.benchmark_log import delete_topics
from broker.topic_setup import ensure_topics
from mobility.settings import Settings, to_environ
from mobility.topics import dead_topic, late_topic, topic_table
from stack.ports import find_free_port
from tests.api.expected import fill_stores, random_windows, with_stores
from tests.api.test_main import api
from tests.waiting import DEADLINE, until

CONFIG = Path(__file__).with_name("schemathesis.toml")
NOWHERE = {"redis": "redis://127.0.0.1:1/0", "postgres": "postgresql://127.0.0.1:1/x"}
ALLOW_503 = ("--exclude-checks", "not_a_server_error")
"""The check of documented statuses still runs, and the only documented server error is 503."""

FEWER_VALUES = ("--phases", "examples,fuzzing,stateful")
"""Without the phase of boundary values: they come from the document, and are refused before a store
is asked, so that it is enough to try them where all stores answer."""

QUERIES = "^/(metrics|windows|distribution|top|summary|compare|batch|rejected|problems)"


Violations = Callable[..., str]


@pytest.fixture
def settings(settings: Settings) -> Iterator[Settings]:
    """Return settings with topics of rejected messages of their own."""
    own = msgspec.structs.replace(settings, topic_prefix=f"openapi_{secrets.token_hex(4)}.")
    wanted = {dead_topic(own), late_topic(own)}
    topics = [topic for topic in topic_table(own) if topic.name in wanted]
    ensure_topics(own, topics)
    yield own
    delete_topics(own, [topic.name for topic in topics])


@pytest.fixture
def violations(tmp_path: Path, request: pytest.FixtureRequest) -> Violations:
    """Return a function that returns Schemathesis' report, empty if there are no violations."""
    return partial(run_schemathesis, tmp_path, examples=int(request.config.getoption("--examples")))


def run_schemathesis(folder: Path, settings: Settings, *options: str, examples: int) -> str:
    """Serve with these settings; return the report of so many examples per operation."""
    port = find_free_port()
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(CONFIG), "run"]
    with api(to_environ(msgspec.structs.replace(settings, api_port=port, api_rate=10_000))):
        wait_for_port(port)
        done = subprocess.run(
            [
                *command,
                f"http://127.0.0.1:{port}/schema/openapi.json",
                *("--include-path-regex", QUERIES, "--max-examples", str(examples)),
                *("--seed", "1", "--no-color", *options),
            ],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=DEADLINE * (1 + examples),
            check=False,
        )
    return "" if done.returncode == 0 else done.stdout + done.stderr


def wait_for_port(port: int) -> None:
    """Return once the API accepts connections."""

    def is_open() -> bool:
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", port)) == 0

    until(is_open, f"a listener on port {port}")


@pytest.mark.services
@pytest.mark.parametrize("stores", [("redis",), ("postgres",), ("redis", "postgres")], ids=str)
def test_it_conforms_to_its_document(
    settings: Settings, violations: Violations, stores: Sequence[str]
) -> None:
    """With filled stores, no request gets a server error or an undocumented response."""
    served = with_stores(settings, *stores)
    fill_stores(served, random_windows())
    assert violations(served) == ""


@pytest.mark.services
@pytest.mark.parametrize("down", NOWHERE)
def test_it_conforms_to_its_document_while_a_store_is_down(
    settings: Settings, violations: Violations, down: str
) -> None:
    """Postgres answers everything; what Redis can't answer is the documented 503."""
    served = with_stores(settings, "redis", "postgres")
    fill_stores(served, random_windows())
    without = msgspec.structs.replace(served, **{down: NOWHERE[down]})
    options = ALLOW_503 if down == "postgres" else ()
    assert violations(without, *FEWER_VALUES, *options) == ""


def test_it_conforms_to_its_document_without_stores(violations: Violations) -> None:
    """While both stores are down, the only server error is the documented 503."""
    nowhere = msgspec.structs.replace(Settings(), **NOWHERE)
    unreachable = with_stores(nowhere, "redis", "postgres")
    assert violations(unreachable, *FEWER_VALUES, *ALLOW_503) == ""
