"""The first ids by an amount."""

from typing import Annotated, Final

from litestar import get
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from api.queries.contract import AMOUNT_OF, By
from api.queries.store_readers import Readers
from api.queries.time_range import Windows
from api.representation.amounts import part_of, shown
from api.representation.openapi import Question
from api.representation.responses import Amounts, Ranked, Top
from api.routes.parameters import AskedId, EntityName, From, To, entity_of, id_in_query

MAX_TOP: Final = 5_000


@get("/top/{entity_name:str}", summary="The first ids by an amount", operation_class=Question)
async def top(
    entity_name: EntityName,
    readers: NamedDependency[Readers],
    windows: NamedDependency[Windows],
    by: Annotated[By, QueryParameter(description="What ids are ranked by.")] = "trips",
    limit: Annotated[int, QueryParameter(ge=1, le=MAX_TOP)] = 10,
    asked_id: Annotated[str | None, AskedId] = None,
    from_: From = None,
    to: To = None,
) -> Top:
    """Return the first ids of a range, or of all time, each with its share of the total.

    With `id` only that one is listed, with its rank among all; not at all if it has no trips.
    """
    entity = entity_of(entity_name)
    only = None if asked_id is None else id_in_query(entity, asked_id)
    over = windows.range(from_, to)
    answer = await readers.analysis("Tops", lambda store: store.top(entity, over, by, limit, only))
    found = answer.value
    return Top(
        entity=entity.name,
        by=by,
        active_ids=found.active_ids,
        items=[
            Ranked(
                rank=each.rank,
                id=each.id,
                share=part_of(each.sums, found.total, AMOUNT_OF[by]),
                **shown(each.sums),
            )
            for each in found.ids
        ],
        total=Amounts(**shown(found.total)),
        complete=windows.is_range_complete(over, found.newest, found.as_of),
        as_of=found.as_of,
        store=answer.store,
        **over.shown,
    )
