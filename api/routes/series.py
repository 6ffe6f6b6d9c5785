"""An id's windows over time."""

from typing import Annotated, Any, Final

from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.openapi.spec import Example
from litestar.params import QueryParameter

from api.queries.buckets import Granularity, edges, range_of, step_name, step_of, zone_of
from api.queries.contract import Series as Found
from api.queries.store_readers import Answer, Readers
from api.queries.time_range import Range, Windows
from api.queries.times import time_of
from api.representation.amounts import shown
from api.representation.formats import JSON, negotiated, written
from api.representation.freshness import freshness_headers
from api.representation.openapi import SeriesQuestion
from api.representation.responses import Series, Span
from api.routes.parameters import (
    AskedId,
    EncodedId,
    EntityName,
    From,
    To,
    entity_of,
    id_in_path,
    id_in_query,
    unknown,
)
from mobility.entities import Entity

Step = Annotated[
    Granularity | None,
    QueryParameter(description="Windows are added up to these spans; else they stay as they are."),
]
Zone = Annotated[
    str,
    QueryParameter(
        description="Days and hours are those of this time zone (a name of the IANA database).",
        examples=[Example(value="Europe/Berlin"), Example(value="UTC")],
    ),
]
_OPERATION: Final[dict[str, Any]] = {
    "summary": "An id's windows",
    "operation_class": SeriesQuestion,
}


@get("/metrics/{entity_name:str}/{entity_id:str}/windows", **_OPERATION)
async def series(
    request: Request[Any, Any, Any],
    entity_name: EntityName,
    entity_id: EncodedId,
    readers: NamedDependency[Readers],
    windows: NamedDependency[Windows],
    from_: From = None,
    to: To = None,
    granularity: Step = None,
    tz: Zone = "UTC",
) -> Response[Series]:
    """Return the windows of an id, by default those of the day that ends with its newest one.

    As JSON, or by Accept as NDJSON, CSV or Parquet.
    """
    entity = entity_of(entity_name)
    found = id_in_path(entity, entity_id)
    question = _Question(from_, to, granularity, tz, windows)
    return await _answered(entity, found, question, readers, _accept(request))


@get("/windows/{entity_name:str}", **_OPERATION)
async def series_by_query(
    request: Request[Any, Any, Any],
    entity_name: EntityName,
    asked_id: Annotated[str, AskedId],
    readers: NamedDependency[Readers],
    windows: NamedDependency[Windows],
    from_: From = None,
    to: To = None,
    granularity: Step = None,
    tz: Zone = "UTC",
) -> Response[Series]:
    """Return the same for an id with any characters."""
    entity = entity_of(entity_name)
    found = id_in_query(entity, asked_id)
    question = _Question(from_, to, granularity, tz, windows)
    return await _answered(entity, found, question, readers, _accept(request))


class _Question:
    """Which spans are asked for."""

    def __init__(
        self,
        start: str | None,
        end: str | None,
        granularity: Granularity | None,
        tz: str,
        windows: Windows,
    ) -> None:
        self.windows = windows
        self.tz = tz
        self._zone = zone_of(tz)
        self._step = step_of(granularity, windows)
        self._range = windows.range(start, end, self._zone)
        self.granularity = step_name(self._step)

    def over(self, newest: int) -> Range:
        """Return the range, of an id whose newest window starts there."""
        return range_of(self._range, newest, self._step, self.windows)

    def edges(self, over: Range) -> tuple[int, ...]:
        """Return the borders of the spans in a range."""
        return edges(over, self._step, self._zone, self.windows)


async def _answered(
    entity: Entity, entity_id: str, question: _Question, readers: Readers, media_type: str
) -> Response[Any]:
    known = await readers.totals(entity, entity_id)
    if known is None or known.value.newest is None:
        raise unknown(entity)
    over = question.over(known.value.newest)
    within = question.edges(over)
    if within:
        answer = await readers.series(entity, entity_id, within)
        if answer is None:
            raise unknown(entity)
    else:
        answer = Answer(known.store, Found((), known.value.as_of))
    as_of = answer.value.as_of
    items = [
        Span(
            window_start=time_of(within[part.span]),
            window_end=time_of(within[part.span + 1]),
            complete=question.windows.is_complete(within[part.span + 1], as_of),
            **shown(part.sums),
        )
        for part in answer.value.parts
    ]
    headers = {**freshness_headers(as_of, answer.store), "Vary": "Accept"}
    if media_type != JSON:
        return Response(written(items, media_type), media_type=media_type, headers=headers)
    content = Series(
        entity=entity.name,
        id=entity_id,
        granularity=question.granularity,
        tz=question.tz,
        items=items,
        as_of=as_of,
        store=answer.store,
        **over.shown,
    )
    return Response(content, headers=headers)


def _accept(request: Request[Any, Any, Any]) -> str:
    return negotiated(request.headers.get("accept", ""))
