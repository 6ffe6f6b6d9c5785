"""The commands `just dlq` and `just late`, on the tenant of the flow's own tests."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from corrections.command import main
from mobility.settings import to_environ
from tests.dataflows.conftest import Hub, hub

__all__ = ["hub"]


@dataclass(slots=True)
class CommandResult:
    """The exit code and the output of a command."""

    code: int
    out: bytes
    err: str

    @property
    def text(self) -> str:
        """Stdout as text."""
        return self.out.decode()

    def lines(self) -> list[dict[str, Any]]:
        """Return the JSON objects on stdout."""
        return [json.loads(line) for line in self.out.splitlines()]


@dataclass(slots=True)
class CommandLine:
    """Runs `just dlq` and `just late` in this process."""

    run: Callable[..., CommandResult]
    folder: Path
    files: list[Path] = field(default_factory=list)

    def file(self, *lines: object) -> str:
        """Write lines of JSON into a new file and return its name."""
        path = self.folder / f"corrected-{len(self.files)}.ndjson"
        path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
        self.files.append(path)
        return str(path)


@pytest.fixture
def cli(
    hub: Hub,
    monkeypatch: pytest.MonkeyPatch,
    capfdbinary: pytest.CaptureFixture[bytes],
    tmp_path: Path,
) -> CommandLine:
    """Return the commands, with the settings of the tenant and in a folder of their own."""
    for name, value in to_environ(hub.settings).items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> CommandResult:
        capfdbinary.readouterr()
        code = main([str(each) for each in arguments])
        out, err = capfdbinary.readouterr()
        return CommandResult(code, out, err.decode())

    return CommandLine(run, tmp_path)
