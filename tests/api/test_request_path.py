"""The files that a request passes through, so that a reader can follow it."""

import asyncio
import sys
from pathlib import Path
from types import FrameType
from typing import Any, cast

import httpx
import pytest

from api.app import create_app
from mobility.settings import Settings
from tests.api.expected import fill_stores, random_windows, with_stores

pytestmark = pytest.mark.services

ROOT = Path(__file__).parents[2]
COMMON = {
    "api/app.py",
    "api/middleware.py",
    "api/routes/parameters.py",
    "api/routes/metrics.py",
    "api/queries/time_range.py",
    "api/queries/store_readers.py",
    "api/representation/responses.py",
}
REDIS = {"api/queries/redis_queries.py", "mobility/keys.py"}
FOLLOWER = {"api/queries/redis_follower.py", "api/queries/sequence_number_poller.py"}
OF_STORES = {
    ("redis",): {*REDIS, "api/queries/redis.py"},
    ("postgres",): {"api/queries/postgres.py", "api/queries/postgres_client.py"},
    ("redis", "postgres"): {*REDIS, *FOLLOWER, "api/queries/contract.py"},
}


@pytest.mark.parametrize("stores", OF_STORES, ids=str)
def test_a_get_passes_through_few_files(
    settings: Settings, stores: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are all files of the project whose code runs for the totals of one id."""
    monkeypatch.setattr("api.queries.sequence_number_poller.POLL_SECONDS", 600)
    configured = with_stores(settings, *stores)
    fill_stores(configured, random_windows())
    files: set[str] = set()

    def note_file(frame: FrameType, event: str, _argument: object) -> None:
        path = Path(frame.f_code.co_filename)
        if event == "call" and path.is_relative_to(ROOT):
            files.add(path.relative_to(ROOT).as_posix())

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
            sys.setprofile(note_file)
            await http.get("/metrics/driver/a")
            sys.setprofile(None)

    asyncio.run(run())
    expected = COMMON | OF_STORES[stores]
    assert {file for file in files if file.startswith(("api/", "mobility/"))} == expected
