"""An API client that reads everything: every page of ids, then the totals of every id."""

import http.client
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, urlencode

import polars as pl

from audit.conversions import iso_to_ms
from mobility.entities import ENTITIES
from mobility.measures import AMOUNTS, COUNTS, STARTS

_PAGE_SIZE: Final = 500
_THREADS: Final = 4
_TIMEOUT: Final = 30.0
_NOT_FOUND: Final = 404

IDS_SCHEMA: Final = pl.Schema({"entity": pl.String, "id": pl.String, "trip_count": pl.Int64})

API_TOTALS_SCHEMA: Final = pl.Schema(
    [
        *IDS_SCHEMA.items(),
        *[(name, pl.Int64) for name in COUNTS if name not in IDS_SCHEMA],
        *[(name, pl.Float64) for name in (*AMOUNTS, "avg_duration")],  # units
        *[(name, pl.String) for name in STARTS],
    ]
)


class ApiError(RuntimeError):
    """A response that is neither 200 nor 404."""


@dataclass(frozen=True, slots=True)
class ApiClient:
    """A client of the API at an address, without a token."""

    host: str
    port: int

    def list_ids(self) -> pl.DataFrame:
        """Return all ids of every entity, page by page: entity, id, trip_count."""
        with self._connect() as connection:
            rows = [
                (entity.name, item["id"], item["trip_count"])
                for entity in ENTITIES
                for item in _list_items(connection, entity.name)
            ]
        return pl.DataFrame(rows, schema=IDS_SCHEMA, orient="row")

    def read_totals(self, ids: pl.DataFrame) -> pl.DataFrame:
        """Return the totals of every (entity, id); ids that the API does not know are left out.

        Amounts are the doubles of the response, in units; starts are epoch ms.
        """
        paths = [
            f"/metrics/{entity}/{quote(i, safe='')}"
            for entity, i in ids.select("entity", "id").rows()
        ]
        shares = [paths[start::_THREADS] for start in range(_THREADS)]
        with ThreadPoolExecutor(_THREADS) as threads:
            rows = [row for share in threads.map(self._read_rows, shares) for row in share]
        frame = pl.DataFrame(rows, schema=API_TOTALS_SCHEMA, orient="row")
        return frame.with_columns(iso_to_ms(pl.col(name)) for name in STARTS)

    def is_healthy(self) -> bool:
        """Return whether the API answers and all its components are healthy."""
        try:
            with self._connect() as connection:
                return _get(connection, "/health") is not None
        except (OSError, http.client.HTTPException, ApiError):
            return False

    def _connect(self) -> closing[http.client.HTTPConnection]:
        return closing(http.client.HTTPConnection(self.host, self.port, timeout=_TIMEOUT))

    def _read_rows(self, paths: Sequence[str]) -> list[tuple[Any, ...]]:
        with self._connect() as connection:
            bodies = [_get(connection, path) for path in paths]
        return [
            tuple(body.get(name) for name in API_TOTALS_SCHEMA)
            for body in bodies
            if body is not None
        ]


def _list_items(connection: http.client.HTTPConnection, entity: str) -> Iterator[dict[str, Any]]:
    query: dict[str, object] = {"limit": _PAGE_SIZE}
    while True:
        page = _get(connection, f"/metrics/{entity}?{urlencode(query)}")
        if page is None:
            msg = f"the API does not know the entity {entity}"
            raise ApiError(msg)
        yield from page["items"]
        if page["next"] is None:
            return
        query["cursor"] = page["next"]


def _get(connection: http.client.HTTPConnection, path: str) -> dict[str, Any] | None:
    """Return the JSON object at a path, None for a 404."""
    connection.request("GET", path)
    response = connection.getresponse()
    body = response.read()
    if response.status == _NOT_FOUND:
        return None
    if response.status != http.client.OK:
        text = body.decode("utf-8", "replace")
        msg = f"the API answered {response.status} to GET {path}: {text[:300]}"
        raise ApiError(msg)
    content: dict[str, Any] = json.loads(body)
    return content
