"""`python -m api` as a process, without stores."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest

from api.access.tokens import make_token
from mobility.settings import Settings
from stack.ports import find_free_port

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
        # Killed, it would leave its worker behind, and that the pipes that we read open.
        process.terminate()
        process.communicate(timeout=20)


def health_of(port: int) -> dict[str, object]:
    """Return what /health answers, once it does."""
    deadline = time.monotonic() + 20
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5) as response:
                body: dict[str, object] = json.load(response)
                return body
        except urllib.error.URLError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_until_it_is_told_to_stop(number: signal.Signals) -> None:
    """It serves where the settings say, says so in one line, and a signal ends it with 0."""
    port = find_free_port()
    with api({"MOBILITY_API_PORT": str(port)}) as process:
        assert "components" in health_of(port)
        process.send_signal(number)
        output, errors = process.communicate(timeout=20)
        assert process.returncode == 0
    assert output == f"The API listens on http://127.0.0.1:{port}\n"
    assert errors == ""


def test_bad_settings_are_all_told() -> None:
    """Every fault is printed, secrets masked, and the exit status is 2."""
    settings = {
        "MOBILITY_API_PORT": "high",
        "MOBILITY_REDIS": "http://:hunter2@h",
        "MOBILITY_NOPE": "1",
    }
    with api(settings) as process:
        _, errors = process.communicate(timeout=20)
        assert process.returncode == 2
    for name in settings:
        assert name in errors
    assert "hunter2" not in errors
    assert "Traceback" not in errors


def test_beyond_this_machine_it_starts_with_tokens_only(tmp_path: Path) -> None:
    """Without them it ends with 2 and says what to do; with them it serves."""
    port = find_free_port()
    everywhere = {"MOBILITY_API_PORT": str(port), "MOBILITY_API_HOST": "0.0.0.0"}  # noqa: S104
    with api(everywhere) as process:
        _, errors = process.communicate(timeout=20)
        assert process.returncode == 2
    assert "just token NAME" in errors
    assert "MOBILITY_API_TOKENS" in errors
    assert "Traceback" not in errors
    _, line = make_token("me", "all")
    (tmp_path / "tokens").write_text(line)
    with api({**everywhere, "MOBILITY_API_TOKENS": str(tmp_path / "tokens")}):
        assert "components" in health_of(port)


@pytest.mark.services
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_readers_of_live_events_do_not_hold_up_the_end(
    services: Settings, number: signal.Signals
) -> None:
    """Streams have no end of their own: a stop ends them, at once and without a kill."""
    port = find_free_port()
    settings = {
        "MOBILITY_API_PORT": str(port),
        "MOBILITY_STORES": "redis",
        "MOBILITY_REDIS": services.redis,
    }
    with api(settings) as process, ExitStack() as stack:
        health_of(port)
        for path in ("/live/driver", "/live/driver/x"):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
            stack.callback(connection.close)
            connection.request("GET", path)
            stream = stack.enter_context(connection.getresponse())
            assert stream.readline() == b"retry: 2000\n"
        process.send_signal(number)
        _, errors = process.communicate(timeout=20)
        assert (process.returncode, errors) == (0, "")


def test_a_taken_port_is_told() -> None:
    """A port that is taken is named, with what to do, and the exit status is 1."""
    with closing(socket.create_server(("127.0.0.1", 0), reuse_port=True)) as taken:
        port = taken.getsockname()[1]
        with api({"MOBILITY_API_PORT": str(port)}) as process:
            _, errors = process.communicate(timeout=20)
            assert process.returncode == 1
    assert f"127.0.0.1:{port}" in errors
    assert "MOBILITY_API_PORT" in errors
    assert "Traceback" not in errors
