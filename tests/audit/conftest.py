"""Fixtures of the audit's tests on real services."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from audit import sampling
from backfill import command
from mobility.settings import to_environ
from tests.dataflows.conftest import Hub, hub

__all__ = ["hub"]

Audit = Callable[..., tuple[int, str]]
Backfill = Callable[..., tuple[int, str]]


@pytest.fixture
def audited(hub: Hub) -> Hub:
    """Return a tenant with both stores, a status folder and topics."""
    hub.settings = msgspec.structs.replace(
        hub.settings,
        stores=("redis", "postgres"),
        status_dir=str(hub.recovery.parent / "status"),
        audit_every=1,
    )
    hub.make_topics()
    return hub


@pytest.fixture
def records(tmp_path: Path) -> Path:
    """Return the folder of the records of backfills."""
    return tmp_path / "records"


@pytest.fixture
def audit(
    hub: Hub, records: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Audit:
    """Return a function that runs the command and returns its exit code and output."""

    def run(*arguments: str) -> tuple[int, str]:
        for name, value in to_environ(hub.settings).items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("COLUMNS", "200")
        code = sampling.main([*arguments, "--seed", "7", "--records", str(records)])
        captured = capsys.readouterr()
        return code, captured.out + captured.err

    return run


@pytest.fixture
def backfill(
    hub: Hub, records: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Backfill:
    """Return a function that runs `just backfill` and returns its exit code and output."""

    def run(*arguments: object) -> tuple[int, str]:
        for name, value in to_environ(hub.settings).items():
            monkeypatch.setenv(name, value)
        code = command.main([*map(str, arguments), "--records", str(records)])
        captured = capsys.readouterr()
        return code, captured.out + captured.err

    return run


def numbers(printed: str, column: int = 2) -> dict[str, int]:
    """Return a column of the table of an audit, by default `compared`, by output."""
    lines = [line for line in printed.splitlines() if "│" in line]
    rows = [[cell.strip() for cell in line.split("│")] for line in lines]
    return {row[1]: int(row[column].replace(",", "")) for row in rows}


def run_flow(hub: Hub) -> None:
    """Run the flow to the end of the log."""
    run = hub.run()
    assert run.returncode == 0, run.stderr[-3_000:]
