"""`python -m api` as a process."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from api.access.tokens import create_token
from mobility.settings import Settings
from stack.ports import find_free_port
from tests.waiting import DEADLINE, until

_PROJECT = Path(__file__).parents[2]


@contextmanager
def api(settings: Mapping[str, str]) -> Iterator[subprocess.Popen[str]]:
    """Run the API with these settings and no others."""
    inherited = {name: text for name, text in os.environ.items() if "MOBILITY_" not in name}
    process = subprocess.Popen(
        [sys.executable, "-m", "api"],
        cwd=_PROJECT,
        env={**inherited, **settings},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        # Not a kill: the worker process would continue, with its end of these pipes open.
        process.terminate()
        process.communicate(timeout=DEADLINE)


def wait_for_health(port: int) -> dict[str, object]:
    """Return the response of /health once there is one."""
    url = f"http://127.0.0.1:{port}/health"

    def health() -> dict[str, object] | OSError:
        try:
            with urllib.request.urlopen(url, timeout=DEADLINE) as response:
                body: dict[str, object] = json.load(response)
                return body
        except OSError as error:
            return error

    found = until(health, f"a response of {url}", lambda seen: isinstance(seen, dict))
    assert isinstance(found, dict)
    return found


def get(port: int, path: str) -> Any:  # noqa: ANN401 - any JSON
    """Return the answer of a path, also a problem."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE)) as client:
        client.request("GET", path)
        return json.load(client.getresponse())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_until_a_stop_signal(number: signal.Signals) -> None:
    """It listens where the settings say, prints that, and exits with 0 on a signal."""
    port = find_free_port()
    with api({"MOBILITY_API_PORT": str(port)}) as process:
        assert "components" in wait_for_health(port)
        process.send_signal(number)
        output, errors = process.communicate(timeout=DEADLINE)
        assert process.returncode == 0
    assert output == f"The API listens on http://127.0.0.1:{port}\n"
    assert errors == ""


@pytest.mark.parametrize("delay", [0, 0.05, 0.2, 0.5])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_while_the_worker_starts_is_a_stop(number: signal.Signals, delay: float) -> None:
    """A worker that has no handlers of its own yet ends too, at once."""
    port = find_free_port()
    with api({"MOBILITY_API_PORT": str(port)}) as process:
        assert process.stdout is not None
        assert "listens" in process.stdout.readline()
        time.sleep(delay)
        process.send_signal(number)
        output, errors = process.communicate(timeout=DEADLINE)
    assert (process.returncode, output, errors) == (0, "", "")


def test_half_a_request_does_not_prevent_a_stop() -> None:
    """A connection whose client never finishes the head of a request is closed."""
    port = find_free_port()
    with api({"MOBILITY_API_PORT": str(port)}) as process:
        wait_for_health(port)
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n")
            process.send_signal(signal.SIGTERM)
            _, errors = process.communicate(timeout=DEADLINE)
    assert (process.returncode, errors) == (0, "")


def test_a_request_that_never_ends_is_named_by_the_stop() -> None:
    """The process ends all the same, and prints what it was doing."""
    port = find_free_port()
    with api({"MOBILITY_API_PORT": str(port)}) as process:
        wait_for_health(port)
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(
                b"POST /session HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                b"Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
            )
            wait_for_health(port)
            process.send_signal(signal.SIGTERM)
            _, errors = process.communicate(timeout=DEADLINE)
    assert process.returncode == 0
    assert "most recent call first" in errors


def test_all_invalid_settings_are_reported() -> None:
    """Every fault is printed, with secrets masked, and the exit status is 2."""
    settings = {
        "MOBILITY_API_PORT": "high",
        "MOBILITY_REDIS": "http://:hunter2@h",
        "MOBILITY_NOPE": "1",
    }
    with api(settings) as process:
        _, errors = process.communicate(timeout=DEADLINE)
        assert process.returncode == 2
    for name in settings:
        assert name in errors
    assert "hunter2" not in errors
    assert "Traceback" not in errors


def test_other_addresses_than_loopback_need_tokens(tmp_path: Path) -> None:
    """Without tokens it exits with 2 and says what to do; with tokens it serves."""
    port = find_free_port()
    everywhere = {"MOBILITY_API_PORT": str(port), "MOBILITY_API_HOST": "0.0.0.0"}  # noqa: S104
    with api(everywhere) as process:
        _, errors = process.communicate(timeout=DEADLINE)
        assert process.returncode == 2
    assert "just token NAME" in errors
    assert "MOBILITY_API_TOKENS" in errors
    assert "Traceback" not in errors
    _, line = create_token("me", "all")
    (tmp_path / "tokens").write_text(line)
    with api({**everywhere, "MOBILITY_API_TOKENS": str(tmp_path / "tokens")}):
        assert "components" in wait_for_health(port)


@pytest.mark.services
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_live_streams_do_not_delay_a_stop(services: Settings, number: signal.Signals) -> None:
    """A stop ends all streams at once, and the process is not killed."""
    port = find_free_port()
    settings = {
        "MOBILITY_API_PORT": str(port),
        "MOBILITY_STORES": "redis",
        "MOBILITY_REDIS": services.redis,
    }
    with api(settings) as process, ExitStack() as stack:
        wait_for_health(port)
        for path in ("/live/driver", "/live/driver/x"):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE)
            stack.callback(connection.close)
            connection.request("GET", path)
            stream = stack.enter_context(connection.getresponse())
            assert stream.readline() == b"retry: 2000\n"
        process.send_signal(number)
        _, errors = process.communicate(timeout=DEADLINE)
        assert (process.returncode, errors) == (0, "")


def test_a_port_in_use_is_reported() -> None:
    """The message names the port and what to do, and the exit status is 1."""
    with closing(socket.create_server(("127.0.0.1", 0), reuse_port=True)) as in_use:
        port = in_use.getsockname()[1]
        with api({"MOBILITY_API_PORT": str(port)}) as process:
            _, errors = process.communicate(timeout=DEADLINE)
            assert process.returncode == 1
    assert f"127.0.0.1:{port}" in errors
    assert "MOBILITY_API_PORT" in errors
    assert "Traceback" not in errors


def test_it_needs_no_kafka(tmp_path: Path) -> None:
    """Neither a broker nor its secrets, which other programs read from files that it lacks."""
    port = find_free_port()
    kafka = {
        "MOBILITY_KAFKA": "no broker",
        "MOBILITY_KAFKA_SECURITY": "sasl_ssl",
        "MOBILITY_KAFKA_PASSWORD_FILE": str(tmp_path / "missing"),
    }
    with api({"MOBILITY_API_PORT": str(port), **kafka}) as process:
        assert "components" in wait_for_health(port)
        assert get(port, "/rejected/dead-letters")["type"] == "/problems/needs-kafka"
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=DEADLINE)
    assert "(/rejected) are not read from Kafka: MOBILITY_KAFKA_PASSWORD_FILE" in errors


def test_a_stop_does_not_wait_for_kafka() -> None:
    """A broker that accepts connections and says nothing holds a thread for half a minute."""
    port = find_free_port()
    with socket.create_server(("127.0.0.1", 0)) as broker:
        kafka = f"127.0.0.1:{broker.getsockname()[1]}"
        with api({"MOBILITY_API_PORT": str(port), "MOBILITY_KAFKA": kafka}) as process:
            wait_for_health(port)
            found = get(port, "/rejected/late-trips")
            process.send_signal(signal.SIGTERM)
            _, errors = process.communicate(timeout=DEADLINE)
    assert found["type"] == "/problems/kafka-unavailable"
    assert (process.returncode, errors) == (0, "")
