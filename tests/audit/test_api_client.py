"""The API client reads every page and every id."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Final
from urllib.parse import parse_qs, unquote, urlsplit

import polars as pl
import pytest

from audit.api_client import ApiClient, ApiError
from mobility.measures import NULLABLE

IDS: Final = ["a/b", "%2F", "..", "ü ?#", *(f"{n:04}" for n in range(600))]


class FakeApi(BaseHTTPRequestHandler):
    """Answers for drivers only, with 503 for one of them."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # one packet per response

    def do_GET(self) -> None:
        """Answer one request."""
        url = urlsplit(self.path)
        parts = url.path.split("/")[1:]
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        if parts[0] == "health":
            self._respond(200, {})
        elif len(parts) == 2:
            start, limit = int(query.get("cursor", 0)), int(query["limit"])
            ids = IDS[start : start + limit] if parts[1] == "driver" else []
            more = str(start + limit) if start + limit < len(IDS) and ids else None
            self._respond(200, {"items": [{"id": i, "trip_count": 1} for i in ids], "next": more})
        elif unquote(parts[2]) in IDS:
            self._respond(200, response_for(unquote(parts[2])))
        else:
            self._respond(503 if parts[2] == "down" else 404, {"detail": "no"})

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _respond(self, status: int, content: object) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def response_for(id_: str) -> dict[str, object]:
    """Return the API's response for an id."""
    return {
        "entity": "driver",
        "id": id_,
        "trip_count": len(id_),
        "distance_count": len(id_),
        "revenue_count": 1,
        "total_duration": 0.1,
        "total_distance": 2,
        "total_revenue": 3.5,
        "avg_duration": 0.05,
        "start_time": "2025-01-01T00:00:00Z",
        "last_start_time": "2025-01-01T00:00:01Z",
        **{each.name: None for each in NULLABLE},
        "as_of": None,
    }


@contextmanager
def fake_api() -> Iterator[ApiClient]:
    """Run the fake API."""
    with ThreadingHTTPServer(("127.0.0.1", 0), FakeApi) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield ApiClient("127.0.0.1", server.server_port)
        finally:
            server.shutdown()
            thread.join()


def test_every_page_and_every_id_is_read() -> None:
    """All pages are followed, ids are quoted in paths, and a 404 is left out."""
    with fake_api() as api:
        assert api.is_healthy()
        listed = api.list_ids()
        assert listed["id"].to_list() == IDS
        unknown = listed.head(1).with_columns(id=pl.lit("nobody"))
        totals = api.read_totals(pl.concat([listed, unknown]))
    assert sorted(totals["id"]) == sorted(IDS)
    assert totals.filter(pl.col("id") == "a/b").row(0, named=True) == {
        **{name: value for name, value in response_for("a/b").items() if name != "as_of"},
        "start_time": 1_735_689_600_000,
        "last_start_time": 1_735_689_601_000,
    }


def test_an_api_that_is_down_is_an_error() -> None:
    """A 503 is reported with its path; without a server the API is not healthy."""
    with fake_api() as api:
        ids = pl.DataFrame({"entity": ["driver"], "id": ["down"]})
        with pytest.raises(ApiError, match="503 to GET /metrics/driver/down"):
            api.read_totals(ids)
    assert not api.is_healthy()
