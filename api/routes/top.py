"""The first ids of an entity by a sum."""

from typing import Annotated, Final

from litestar import get
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from api.queries.contract import SUM_OF_KEY, RankedId, SortKey, Sums
from api.queries.store_readers import StoreReaders
from api.queries.time_range import WindowingStrategy
from api.representation.openapi import QueryOperation
from api.representation.responses import (
    Amounts,
    TopItem,
    TopResponse,
    range_to_response,
    to_response,
)
from api.routes.parameters import (
    QUERY_ID,
    EntityName,
    From,
    To,
    entity_by_name,
    id_from_query,
)

MAX_TOP: Final = 5_000

_LIMIT: Final = QueryParameter(
    ge=1,
    le=MAX_TOP,
    description=f"The number of ids, up to {MAX_TOP:,}. `/metrics/<entity>?sort=-trips&format=csv` "
    "has all of them.",
)


@get("/top/{entity_name:str}", summary="The first ids by a sum", operation_class=QueryOperation)
async def top(
    entity_name: EntityName,
    readers: NamedDependency[StoreReaders],
    windowing: NamedDependency[WindowingStrategy],
    by: Annotated[SortKey, QueryParameter(description="The sum that ids are ranked by.")] = "trips",
    limit: Annotated[int, _LIMIT] = 10,
    id_: Annotated[str | None, QUERY_ID] = None,
    from_: From = None,
    to: To = None,
) -> TopResponse:
    """Return the first ids over a range or of all time, each with its share of the total.

    With `id`, return that id alone with its rank among all; nothing if it has no trips.
    """
    entity = entity_by_name(entity_name)
    only = None if id_ is None else id_from_query(entity, id_)
    time_range = windowing.parse_range(from_, to)
    answer = await readers.analyze(
        "Top ids", lambda reader: reader.top(entity, time_range, by, limit, only)
    )
    found = answer.value
    return TopResponse(
        entity=entity.name,
        by=by,
        active_ids=found.active_ids,
        items=[_to_item(ranked, found.total, SUM_OF_KEY[by]) for ranked in found.ids],
        total=Amounts(**to_response(found.total)),
        complete=windowing.is_range_complete(time_range, found.newest_window, found.watermark),
        as_of=found.watermark,
        store=answer.store,
        **range_to_response(time_range),
    )


def _to_item(ranked: RankedId, total: Sums, name: str) -> TopItem:
    whole = total[name]
    return TopItem(
        rank=ranked.rank,
        id=ranked.id,
        share=ranked.sums[name] / whole if whole else None,
        **to_response(ranked.sums),
    )
