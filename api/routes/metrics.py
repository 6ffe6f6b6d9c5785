"""What was counted for one id."""

from litestar import get
from litestar.di import NamedDependency

from api.queries.store_readers import Readers
from api.queries.time_range import Range, Windows
from api.queries.times import time_of
from api.representation.openapi import Question
from api.representation.responses import LastWindow, Metrics
from api.routes.counting import count_id
from api.routes.parameters import EncodedId, EntityName, From, To, entity_of, id_in_path, unknown
from mobility.entities import Entity


@get(
    "/metrics/{entity_name:str}/{entity_id:str}", summary="An id's totals", operation_class=Question
)
async def metrics(
    entity_name: EntityName,
    entity_id: EncodedId,
    readers: NamedDependency[Readers],
    windows: NamedDependency[Windows],
    from_: From = None,
    to: To = None,
) -> Metrics:
    """Return an id's running totals, or those of a range."""
    entity = entity_of(entity_name)
    found = id_in_path(entity, entity_id)
    return await metrics_of(entity, found, windows.range(from_, to), readers, windows)


async def metrics_of(
    entity: Entity, entity_id: str, over: Range, readers: Readers, windows: Windows
) -> Metrics:
    """Return the answer about an id and a range; raises the problem that the id is unknown."""
    count = await count_id(readers, entity, entity_id, over)
    if count is None:
        raise unknown(entity)
    last = None
    if count.newest is not None:
        end = count.newest + windows.length
        last = LastWindow(
            window_start=time_of(count.newest),
            window_end=time_of(end),
            complete=windows.is_complete(end, count.as_of),
        )
    return Metrics(
        entity=entity.name,
        id=entity_id,
        start_time=count.start_time,
        last_start_time=count.last_start_time,
        last_window=last,
        as_of=count.as_of,
        store=count.store,
        **count.shown(windows),
    )
