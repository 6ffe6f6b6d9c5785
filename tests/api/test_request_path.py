"""The files that a request passes through are those of docs/architecture.md."""

import asyncio
import sys
from collections import defaultdict
from types import FrameType
from typing import Any, cast

import httpx
import pytest

from api.app import create_app
from mobility.settings import Settings
from tests.api.expected import fill_stores, random_windows, with_stores
from tests.architecture_page import project_file, section, steps_in

pytestmark = pytest.mark.services

MOST_STEPS = 9
PACKAGES = ("api", "mobility", "redis_cluster")
FOLLOWER = "api/queries/redis_follower.py"
OF_STORES = {
    ("redis", "postgres"): FOLLOWER,
    ("redis",): "api/queries/redis.py",
    ("postgres",): "api/queries/postgres.py",
}


def documented(reader: str) -> dict[str, set[str]]:
    """Return the steps of the page with their helpers, where this file reads the store."""
    steps = steps_in(section("Data flow of a request"))
    helpers = steps.pop(FOLLOWER)
    if reader != FOLLOWER:
        # There is no authority to be compared with.
        steps["api/queries/store_readers.py"] = set()
        helpers = helpers - {"redis_cluster/records.py"}
    if reader == "api/queries/postgres.py":
        helpers = {"api/queries/postgres_client.py"}
    return {**steps, reader: helpers}


@pytest.mark.parametrize("stores", OF_STORES, ids=str)
def test_a_get_passes_through_few_files(
    settings: Settings, stores: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No other file is run for the totals of one id; helpers are called by their own step only."""
    monkeypatch.setattr("api.queries.sequence_number_poller.POLL_SECONDS", 600)
    configured = with_stores(settings, *stores)
    fill_stores(configured, random_windows())
    callers: defaultdict[str, set[str]] = defaultdict(set)

    def note(frame: FrameType, event: str, _argument: object) -> None:
        file = project_file(frame, PACKAGES) if event == "call" else None
        if file is None:
            return
        caller = frame.f_back
        while caller is not None and project_file(caller, PACKAGES) is None:
            caller = caller.f_back
        # Litestar and the event loop call, too.
        callers[file].add((caller and project_file(caller, PACKAGES)) or "")

    async def run() -> None:
        app = create_app(configured)
        transport = httpx.ASGITransport(cast("Any", app))
        async with (
            app.lifespan(),
            httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as http,
        ):
            # The first requests connect and read SQL files, and come from Postgres until the
            # numbers of that are known.
            response = await http.get("/metrics/driver/a")
            while response.json()["store"] != stores[0]:
                await asyncio.sleep(0.05)
                response = await http.get("/metrics/driver/a")
            sys.setprofile(note)
            await http.get("/metrics/driver/a")
            sys.setprofile(None)

    asyncio.run(run())
    steps = documented(OF_STORES[stores])
    assert len(steps) <= MOST_STEPS
    assert callers.keys() == steps.keys() | set().union(*steps.values())
    for step, own in steps.items():
        for helper in own:
            assert callers[helper] <= {step, *own, ""}, helper
