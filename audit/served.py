"""What the API answers, asked for as any client would ask: every page, then every id."""

import http.client
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, urlencode

import polars as pl

from audit.decimals import epoch_ms
from mobility.entities import ENTITIES
from mobility.records import STARTS, TOTALS

_PAGE: Final = 500
_THREADS: Final = 4
_TIMEOUT: Final = 30.0
_NOT_FOUND: Final = 404

LISTED_SCHEMA: Final = pl.Schema({"entity": pl.String, "id": pl.String, "trip_count": pl.Int64})

SERVED_SCHEMA: Final = pl.Schema(
    [
        *LISTED_SCHEMA.items(),
        *[(name, pl.Float64) for name in (*TOTALS, "avg_duration")],  # units
        *[(name, pl.String) for name in STARTS],
    ]
)


class ApiError(RuntimeError):
    """An answer that is neither the data nor a plain 404."""


@dataclass(frozen=True, slots=True)
class Api:
    """Where the API listens."""

    host: str
    port: int

    def listed(self) -> pl.DataFrame:
        """Return what the pages of every entity list: entity, id, trip_count."""
        with self._connected() as connection:
            rows = [
                (entity.name, item["id"], item["trip_count"])
                for entity in ENTITIES
                for item in _items(connection, entity.name)
            ]
        return pl.DataFrame(rows, schema=LISTED_SCHEMA, orient="row")

    def served(self, ids: pl.DataFrame) -> pl.DataFrame:
        """Return the answer for every (entity, id); one that it does not know is left out.

        Amounts are the doubles that the API shows, in units; starts are epoch ms.
        """
        paths = [
            f"/metrics/{entity}/{quote(i, safe='')}"
            for entity, i in ids.select("entity", "id").rows()
        ]
        shares = [paths[start::_THREADS] for start in range(_THREADS)]
        with ThreadPoolExecutor(_THREADS) as threads:
            rows = [row for share in threads.map(self._answers, shares) for row in share]
        frame = pl.DataFrame(rows, schema=SERVED_SCHEMA, orient="row")
        return frame.with_columns(epoch_ms(pl.col(name)) for name in STARTS)

    def is_healthy(self) -> bool:
        """Tell whether the API answers and all its components are well."""
        try:
            with self._connected() as connection:
                return _get(connection, "/health") is not None
        except (OSError, http.client.HTTPException, ApiError):
            return False

    def _connected(self) -> closing[http.client.HTTPConnection]:
        return closing(http.client.HTTPConnection(self.host, self.port, timeout=_TIMEOUT))

    def _answers(self, paths: Sequence[str]) -> list[tuple[Any, ...]]:
        with self._connected() as connection:
            answers = [_get(connection, path) for path in paths]
        return [tuple(a.get(name) for name in SERVED_SCHEMA) for a in answers if a is not None]


def _items(connection: http.client.HTTPConnection, entity: str) -> Iterator[dict[str, Any]]:
    query: dict[str, object] = {"limit": _PAGE}
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
    answer: dict[str, Any] = json.loads(body)
    return answer
