"""The command line, the environment of the commands, and what happens where one fails."""

import io
import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from rich.console import Console

from audit import replay
from audit.options import Options, check_files, environment, parse
from audit.steps import Commands, StepError, free_port
from mobility.settings import read_settings


def test_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Paths are taken from the caller's folder; what is not given is not assumed."""
    monkeypatch.chdir(tmp_path)
    words = ["my trips.parquet", "--out", "o", "--as-is", "--partitions", "12", "--drivers", "d"]
    assert parse(words) == Options(
        file=tmp_path / "my trips.parquet",
        out=tmp_path / "o",
        as_is=True,
        partitions=12,
        processes=1,
        tables={"drivers": tmp_path / "d"},
    )
    assert parse(["x"]).tables == {}


@pytest.mark.parametrize("words", [[], ["x", "--processes", "0"], ["x", "--partitions", "four"]])
def test_a_wrong_command_line_exits_with_2(words: list[str]) -> None:
    """A call that makes no sense starts nothing."""
    with pytest.raises(SystemExit) as ended:
        parse(words)
    assert ended.value.code == 2


def test_the_environment_of_the_commands() -> None:
    """Settings that change answers pass through; tables come from the options alone."""
    base = {
        "PATH": "/bin",
        "MOBILITY_WINDOW": "60",
        "MOBILITY_KAFKA": "127.0.0.1:1",
        "MOBILITY_DRIVERS": "/sample/drivers.parquet",
        "MOBILITY_READ": "forever",
        "MOBILITY_STORES": "",
    }
    options = parse(["x", "--locations", "/l.parquet", "--partitions", "3"])
    settings = read_settings(environment(base, options, Path("/scratch"), 5_000))
    assert (settings.window, settings.kafka, settings.partitions) == (60, "127.0.0.1:1", 3)
    assert (settings.drivers, settings.locations) == (None, "/l.parquet")
    assert (settings.read, settings.stores) == ("once", ("redis", "postgres"))
    assert (settings.status_dir, settings.api_port) == ("/scratch", 5_000)
    without = read_settings(environment({}, parse(["x"]), Path("/scratch"), 1))
    assert without.partitions == 4


def test_a_folder_of_the_caller_is_never_taken_for_a_room(tmp_path: Path) -> None:
    """Wherever a replay is called, it runs the project's own modules."""
    (tmp_path / "api.py").write_text("raise SystemExit('not me')")
    environ = environment(os.environ, parse(["x"]), tmp_path, 0)
    command = [sys.executable, "-c", "import api; print(api.__file__)"]
    found = subprocess.run(command, env=environ, cwd=tmp_path, capture_output=True, check=True)
    assert Path(found.stdout.decode().strip()).parent.parent == Path(replay.__file__).parents[1]


def test_unreadable_files_are_named(tmp_path: Path) -> None:
    """The trips and each table must be parquet before anything starts."""
    good, bad = tmp_path / "good.parquet", tmp_path / "bad.parquet"
    pl.DataFrame({"x": [1]}).write_parquet(good)
    bad.write_text("no")
    check_files(parse([str(good), "--drivers", str(good)]))
    for words in ([str(bad)], [str(good), "--drivers", str(bad)], [str(tmp_path / "bad.parquet")]):
        with pytest.raises(OSError, match=r"bad\.parquet: not a readable parquet file"):
            check_files(parse(words))
    with pytest.raises(OSError, match=r"none\.parquet: not a readable parquet file"):
        check_files(parse([str(tmp_path / "none.parquet")]))


def test_a_replay_of_no_parquet_exits_with_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file that can't be read is named on standard error, and no service is asked for."""
    assert replay.main([str(tmp_path / "none.parquet")]) == 2
    assert "none.parquet" in capsys.readouterr().err


def test_wrong_settings_exit_with_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every faulty setting is named at once."""
    pl.DataFrame({"x": [1]}).write_parquet(tmp_path / "x.parquet")
    monkeypatch.setenv("MOBILITY_WINDOW", "0")
    monkeypatch.setenv("MOBILITY_NONSENSE", "1")
    assert replay.main([str(tmp_path / "x.parquet")]) == 2
    error = capsys.readouterr().err
    assert "MOBILITY_WINDOW" in error
    assert "MOBILITY_NONSENSE" in error


@pytest.fixture
def commands(tmp_path: Path) -> Commands:
    """Return commands that find modules in a folder, with `good` and `bad` in it."""
    (tmp_path / "good.py").write_text("import time\ntime.sleep(0.7)\n")
    (tmp_path / "bad.py").write_text("import sys\nprint('what [red] was')\nsys.exit('the matter')")
    environ = os.environ | {"PYTHONPATH": str(tmp_path), "PYTHONSAFEPATH": "1"}
    return Commands(environ, tmp_path, Console(file=io.StringIO(), width=80))


def test_a_command_is_watched_to_its_end(commands: Commands) -> None:
    """While a command runs its progress is looked at; a good end says nothing."""
    looks: list[bool] = []
    commands.run("good", watch=lambda: looks.append(True))
    assert looks


def test_a_failing_command_is_shown_with_its_last_words(commands: Commands) -> None:
    """The error names the command, its exit code and what it wrote on either stream."""
    with pytest.raises(StepError) as raised:
        commands.run("bad", "--an option")
    assert str(raised.value).splitlines() == [
        "python -m bad '--an option' ended with exit code 1. It said last:",
        "what [red] was",
        "the matter",
    ]


def test_an_api_that_does_not_start_is_a_failure(commands: Commands, tmp_path: Path) -> None:
    """An API that ends before it was well is told at once, with its last words."""
    (tmp_path / "api.py").write_text("raise SystemExit('no port for me')")
    with pytest.raises(StepError, match="no port for me"), commands.api(free_port()):
        pass


def test_an_api_is_ended_with_its_use(commands: Commands, tmp_path: Path) -> None:
    """The API runs while it is asked and not a moment longer."""
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
    port = free_port()
    commands.environ["MOBILITY_API_PORT"] = str(port)
    with commands.api(port) as api:
        assert api.is_healthy()
    assert not api.is_healthy()


def test_steps_without_a_terminal_are_plain_lines(commands: Commands) -> None:
    """Each step is one line with its seconds, and no control characters."""
    with commands.step("a step [1]") as update:
        update("half of it")
    file = commands.console.file
    assert isinstance(file, io.StringIO)
    line = file.getvalue()
    assert line.startswith("a step [1] ")
    assert line.endswith(" 0.0 s\n")
