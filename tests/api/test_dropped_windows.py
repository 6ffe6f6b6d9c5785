"""Ranges of time of which Postgres has dropped windows (MOBILITY_RETENTION)."""

import httpx
import msgspec
import psycopg
import pytest

from mobility.settings import Settings
from sinks.ledger_maintenance import maintain_ledger
from tests.api.expected import DRIVER, LENGTH, NOON, client, fill_stores, iso, with_stores
from tests.windows import window, window_frame

pytestmark = pytest.mark.services

DAY = 86_400_000
OLD = NOON - 14 * DAY
"""A Sunday, as NOON is; the week after it is kept."""

MONDAY = NOON - 13 * DAY - DAY // 2


@pytest.fixture
def dropped(settings: Settings) -> Settings:
    """Return settings of a store that keeps a week, and has dropped windows."""
    one = msgspec.structs.replace(with_stores(settings, "postgres"), retention="panes:7d")
    starts = (OLD, OLD + LENGTH, MONDAY, NOON - LENGTH)
    fill_stores(one, window_frame([window("a", start, 2) for start in starts]))
    maintain_ledger(one)
    return one


@pytest.mark.parametrize(
    "path",
    [
        "/metrics/driver/a",
        "/metrics/driver/a/windows?granularity=PT1H&",
        "/metrics/driver?sort=-trips&",
        "/top/driver",
        "/summary/driver",
        "/windows/driver?format=csv&",
        "/windows/driver?granularity=PT1H&format=ndjson&",
        "/week/driver",
    ],
)
def test_they_are_refused(dropped: Settings, path: str) -> None:
    """Where they do not begin with an hour, with the time from which on there are all windows."""
    with client(dropped) as http:

        def ask(start: int) -> httpx.Response:
            prefix = path if path.endswith("&") else f"{path}?"
            return http.get(f"{prefix}from={iso(start)}&to={iso(NOON)}")

        assert ask(MONDAY).status_code == 200
        for start in (MONDAY - LENGTH, OLD + LENGTH):
            answer = ask(start)
            assert answer.status_code == 404, answer.text
            problem = answer.json()
            assert problem["type"] == "/problems/beyond-ledger"
            assert problem["reaches"] == iso(MONDAY)


def test_batches_are_refused(dropped: Settings) -> None:
    """As other ranges are."""
    with client(dropped) as http:
        kept = {"from": iso(MONDAY), "to": iso(NOON)}
        ids = {"ids": ["a"]}
        found = http.post("/batch/driver", params=kept, json=ids).json()
        assert found["items"][0]["trip_count"] == 4
        begins = {"from": iso(OLD + LENGTH)}
        answer = http.post("/batch/driver", params=kept | begins, json=ids)
        assert (answer.status_code, answer.json()["reaches"]) == (404, iso(MONDAY))


def test_totals_of_all_time_have_all(dropped: Settings) -> None:
    """And the extent of the data begins where hours and days do."""
    with client(dropped) as http:
        assert http.get("/metrics/driver/a").json()["trip_count"] == 8
        assert http.get("/top/driver").json()["items"][0]["trip_count"] == 8
    with psycopg.connect(dropped.postgres) as connection:
        spans = connection.execute(
            "SELECT oldest_window FROM sequence_numbers WHERE entity = %s", [DRIVER.name]
        ).fetchall()
    assert spans == [(OLD,)]
