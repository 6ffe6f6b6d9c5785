"""The command `just backfill`, on the tenant of the flow's own tests."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import get_args

import msgspec
import pytest

from backfill.command import main
from mobility.settings import Store, to_environ
from tests.dataflows.conftest import Hub, hub

__all__ = ["hub"]

RunBackfill = Callable[..., int]


@pytest.fixture
def stored(hub: Hub) -> Hub:
    """Return a tenant that writes to every store, with its topics."""
    hub.settings = msgspec.structs.replace(hub.settings, stores=get_args(Store))
    hub.make_topics()
    return hub


@pytest.fixture
def backfill(stored: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunBackfill:
    """Return `just backfill` with a journal of its own; it takes options, returns the exit code."""

    def run(*arguments: object, last: Sequence[object] = ()) -> int:
        records = ("--records", tmp_path / "records")
        with monkeypatch.context() as environ:
            for name, value in to_environ(stored.settings).items():
                environ.setenv(name, value)
            # Where an option is given twice, the last counts.
            return main([str(each) for each in (*arguments, *records, *last)])

    return run
