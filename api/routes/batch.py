"""Many ids at once, for feature stores and models."""

from typing import Annotated

import msgspec
from litestar import post
from litestar.di import NamedDependency
from litestar.params import JSONBody
from msgspec import Meta

from api.queries.contract import Totals
from api.queries.store_readers import Readers
from api.representation.amounts import shown
from api.representation.openapi import BatchQuestion
from api.representation.responses import Batch, Known
from api.routes.parameters import EntityName, entity_of
from api.routes.paths import is_storable

MAX_IDS = 1_000


class Ids(msgspec.Struct, frozen=True):
    """The ids that are asked for."""

    ids: Annotated[
        list[str], Meta(min_length=1, max_length=MAX_IDS, examples=[["scooter", "bike"]])
    ]


@post(
    "/batch/{entity_name:str}",
    status_code=200,
    summary="The totals of many ids",
    operation_class=BatchQuestion,
)
async def batch(
    entity_name: EntityName, data: JSONBody[Ids], readers: NamedDependency[Readers]
) -> Batch:
    """Return the totals of up to 1,000 ids, in their order; null for one without any trip.

    All come from one store: an answer is whole or there is none.
    """
    entity = entity_of(entity_name)
    wanted = list(dict.fromkeys(filter(is_storable, data.ids)))
    answer = await readers.batch(entity, wanted)
    found = answer.value
    return Batch(
        entity=entity.name,
        items=[_known(entity_id, found.totals.get(entity_id)) for entity_id in data.ids],
        as_of=found.as_of,
        store=answer.store,
    )


def _known(entity_id: str, totals: Totals | None) -> Known | None:
    if totals is None:
        return None
    return Known(
        id=entity_id,
        start_time=totals.start_time,
        last_start_time=totals.last_start_time,
        **shown(totals.sums),
    )
