"""Two ids or two ranges beside each other."""

from typing import Annotated

from litestar import get
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from api.errors import BadQuery
from api.queries.store_readers import ORDER, Readers
from api.queries.time_range import Range, Windows
from api.representation.comparison import differences, ratios
from api.representation.openapi import Question
from api.representation.responses import Amounts, Comparison, Ratio, Side
from api.routes.counting import Count, count_all, count_id
from api.routes.parameters import AskedId, EntityName, From, To, entity_of, id_in_query, unknown
from mobility.entities import Entity

OtherId = Annotated[
    str | None, QueryParameter(description="The id on the right; by default that on the left.")
]
OtherFrom = Annotated[
    str | None,
    QueryParameter(description="Where the range on the right begins.", format="date-time"),
]
OtherTo = Annotated[
    str | None, QueryParameter(description="Where the range on the right ends.", format="date-time")
]


@get("/compare/{entity_name:str}", summary="Two ids or two ranges", operation_class=Question)
async def compare(
    entity_name: EntityName,
    readers: NamedDependency[Readers],
    windows: NamedDependency[Windows],
    asked_id: Annotated[str | None, AskedId] = None,
    from_: From = None,
    to: To = None,
    other_id: OtherId = None,
    other_from: OtherFrom = None,
    other_to: OtherTo = None,
) -> Comparison:
    """Return two counts, what the left one has more than the right one, and their ratio.

    On the left is an id, or without one the whole entity, in a range; on the right another id,
    another range, or both.
    """
    entity = entity_of(entity_name)
    left_id = None if asked_id is None else id_in_query(entity, asked_id)
    right_id = left_id if other_id is None else id_in_query(entity, other_id)
    over = windows.range(from_, to)
    other = over
    if other_from is not None or other_to is not None:
        other = windows.range(other_from, other_to, prefix="other_")
    if (left_id, over) == (right_id, other):
        msg = "other_id: both sides are the same; another id or another range is needed"
        raise BadQuery(msg)
    left = await _count(readers, entity, left_id, over)
    right = await _count(readers, entity, right_id, other)
    return _compared(entity, (left_id, left), (right_id, right), windows)


async def _count(readers: Readers, entity: Entity, entity_id: str | None, over: Range) -> Count:
    if entity_id is None:
        return await count_all(readers, entity, over)
    count = await count_id(readers, entity, entity_id, over)
    if count is None:
        raise unknown(entity)
    return count


def _compared(
    entity: Entity, one: tuple[str | None, Count], other: tuple[str | None, Count], windows: Windows
) -> Comparison:
    (left_id, left), (right_id, right) = one, other
    return Comparison(
        entity=entity.name,
        left=Side(id=left_id, **left.shown(windows)),
        right=Side(id=right_id, **right.shown(windows)),
        difference=Amounts(**differences(left.sums, right.sums)),
        ratio=Ratio(**ratios(left.sums, right.sums)),
        as_of=min(left.as_of, right.as_of) if left.as_of and right.as_of else None,
        # Where they answered one side each, it took the lasting one too.
        store=max(left.store, right.store, key=ORDER.index),
    )
