"""Commands of the system: run to their end, and reported if they fail."""

import io
import os
import re
from pathlib import Path

import pytest
from rich.console import Console

from audit.command_runner import CommandError, CommandRunner, find_free_port


@pytest.fixture
def runner(tmp_path: Path) -> CommandRunner:
    """Return a runner that finds modules in a folder, with `good` and `bad` in it."""
    (tmp_path / "good.py").write_text(
        "import pathlib, time\n"
        f"while not pathlib.Path({str(tmp_path / 'polled')!r}).exists(): time.sleep(0.01)\n"
    )
    (tmp_path / "bad.py").write_text("import sys\nprint('what [red] was')\nsys.exit('the matter')")
    environ = os.environ | {"PYTHONPATH": str(tmp_path), "PYTHONSAFEPATH": "1"}
    return CommandRunner(environ, tmp_path, Console(file=io.StringIO(), width=80))


def test_a_command_is_polled_until_it_exits(runner: CommandRunner, tmp_path: Path) -> None:
    """While it runs the callback is called; exit code 0 is no error."""
    runner.run("good", on_poll=(tmp_path / "polled").touch)
    assert (tmp_path / "polled").exists()


def test_an_error_has_the_last_output_of_a_command(runner: CommandRunner) -> None:
    """The error has the command, its exit code and its output on both streams."""
    with pytest.raises(CommandError) as raised:
        runner.run("bad", "--an option")
    assert str(raised.value).splitlines() == [
        "python -m bad '--an option' ended with exit code 1. Its last output:",
        "what [red] was",
        "the matter",
    ]


def test_an_api_that_does_not_start_is_a_failure(runner: CommandRunner, tmp_path: Path) -> None:
    """An API that exits before it is healthy is reported at once, with its last output."""
    (tmp_path / "api.py").write_text("raise SystemExit('no port for me')")
    with pytest.raises(CommandError, match="no port for me"), runner.run_api(find_free_port()):
        pass


def test_the_api_stops_at_the_end_of_the_block(runner: CommandRunner, tmp_path: Path) -> None:
    """It is healthy in the block and not running afterwards."""
    (tmp_path / "api.py").write_text(
        "import http.server, os\n"
        "class Handler(http.server.BaseHTTPRequestHandler):\n"
        "    def do_GET(self):\n"
        "        self.send_response(200)\n"
        "        self.end_headers()\n"
        "        self.wfile.write(b'{}')\n"
        "port = int(os.environ['MOBILITY_API_PORT'])\n"
        "http.server.HTTPServer(('127.0.0.1', port), Handler).serve_forever()\n"
    )
    port = find_free_port()
    runner.environ["MOBILITY_API_PORT"] = str(port)
    with runner.run_api(port) as api:
        assert api.is_healthy()
    assert not api.is_healthy()


def test_steps_without_a_terminal_are_plain_lines(runner: CommandRunner) -> None:
    """Each step is one line with its seconds, without control characters."""
    with runner.step("a step [1]") as update:
        update("half of it")
    file = runner.console.file
    assert isinstance(file, io.StringIO)
    assert re.fullmatch(r"a step \[1\] +\d+\.\d s\n", file.getvalue())
