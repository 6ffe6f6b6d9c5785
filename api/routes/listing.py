"""The ids of an entity, a page at a time."""

from typing import Annotated, Final, Literal, cast

from litestar import get
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from api.errors import BadQuery
from api.queries.contract import AMOUNT_OF, By, Order, Place, Sums
from api.queries.store_readers import Readers
from api.queries.time_range import Windows
from api.representation.amounts import shown_sums
from api.representation.cursor import Cursor, decode_cursor, encode_cursor
from api.representation.openapi import Question
from api.representation.responses import Item, Listing, Metrics
from api.routes.metrics import metrics_of
from api.routes.parameters import (
    AskedId,
    EntityName,
    From,
    To,
    entity_of,
    id_in_query,
    prefix_of,
)
from mobility.entities import Entity

MAX_LIMIT: Final = 500
DEFAULT_LIMIT: Final = 100

Sort = Literal[
    "revenue", "trips", "distance", "duration", "-revenue", "-trips", "-distance", "-duration"
]


@get("/metrics/{entity_name:str}", summary="The ids of an entity", operation_class=Question)
async def listing(
    entity_name: EntityName,
    readers: NamedDependency[Readers],
    windows: NamedDependency[Windows],
    limit: Annotated[int, QueryParameter(ge=1, le=MAX_LIMIT)] = DEFAULT_LIMIT,
    cursor: Annotated[str | None, QueryParameter(description="`next` of the page before.")] = None,
    prefix: Annotated[str, QueryParameter(description="What the ids begin with.")] = "",
    sort: Annotated[
        Sort | None,
        QueryParameter(description="Sorted by a sum, with `-` the largest first; else by id."),
    ] = None,
    asked_id: Annotated[str | None, AskedId] = None,
    from_: From = None,
    to: To = None,
) -> Listing | Metrics:
    """Return ids with their sums, a page at a time; or with `id` the totals of that id.

    Only with `id` there are `from` and `to`, and then nothing else.
    """
    entity = entity_of(entity_name)
    if asked_id is not None:
        if cursor is not None or prefix or sort is not None:
            msg = "id: names one; `cursor`, `prefix` and `sort` are for a list"
            raise BadQuery(msg)
        found = id_in_query(entity, asked_id)
        return await metrics_of(entity, found, windows.range(from_, to), readers, windows)
    if from_ is not None or to is not None:
        msg = f"{'to' if from_ is None else 'from'}: is for one id, which `id` names"
        raise BadQuery(msg)
    order = _order(prefix_of(prefix), sort)
    begun = None if cursor is None else decode_cursor(cursor, order)
    return await _page(entity, order, begun, limit, readers)


async def _page(
    entity: Entity, order: Order, begun: Cursor | None, limit: int, readers: Readers
) -> Listing:
    answer = await readers.page(entity, order, begun.place if begun else None, limit)
    total = begun.total if begun else await readers.count(entity, order.prefix)
    page = answer.value
    following = None
    if page.has_more:
        following = encode_cursor(Cursor(_place(*page.ids[-1], order.by), order, total))
    return Listing(
        entity=entity.name,
        items=[Item(id=entity_id, **shown_sums(sums)) for entity_id, sums in page.ids],
        total=total,
        next=following,
        as_of=page.as_of,
        store=answer.store,
    )


def _order(prefix: str, sort: Sort | None) -> Order:
    if sort is None:
        return Order(prefix)
    return Order(prefix, cast("By", sort.removeprefix("-")), descending=sort.startswith("-"))


def _place(last_id: str, sums: Sums, by: By | None) -> Place:
    return Place(last_id, 0 if by is None else getattr(sums, AMOUNT_OF[by]))
