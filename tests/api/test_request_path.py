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
OF_STORE = {
    "redis": {"api/queries/redis.py", "mobility/keys.py"},
    "postgres": {"api/queries/postgres.py", "api/queries/postgres_client.py"},
}


@pytest.mark.parametrize("store", OF_STORE)
def test_a_get_passes_through_nine_files(settings: Settings, store: str) -> None:
    """They are all files of the project whose code runs for the totals of one id."""
    one_store = with_stores(settings, store)
    fill_stores(one_store, random_windows())
    files: set[str] = set()

    def note_file(frame: FrameType, event: str, _argument: object) -> None:
        path = Path(frame.f_code.co_filename)
        if event == "call" and path.is_relative_to(ROOT):
            files.add(path.relative_to(ROOT).as_posix())

    async def run() -> None:
        app = create_app(one_store)
        transport = httpx.ASGITransport(cast("Any", app))
        async with (
            app.lifespan(),
            httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as http,
        ):
            # The first request connects and reads SQL files.
            for profile in (None, note_file):
                sys.setprofile(profile)
                response = await http.get("/metrics/driver/a")
                sys.setprofile(None)
                assert response.json()["store"] == store

    asyncio.run(run())
    expected = COMMON | OF_STORE[store]
    assert len(expected) == 9
    assert {file for file in files if file.startswith(("api/", "mobility/"))} == expected
