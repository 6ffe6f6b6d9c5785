"""All ids of an entity together."""

from collections.abc import Mapping, Sequence

from litestar import get
from litestar.di import NamedDependency

from api.queries.contract import Sums
from api.queries.store_readers import Readers
from api.queries.time_range import Windows
from api.representation.amounts import NAMES, shown, shown_sums
from api.representation.openapi import Question
from api.representation.responses import Distribution, Percentiles, Summary
from api.routes.parameters import EntityName, From, To, entity_of


@get("/summary/{entity_name:str}", summary="The whole entity", operation_class=Question)
async def summary(
    entity_name: EntityName,
    readers: NamedDependency[Readers],
    windows: NamedDependency[Windows],
    from_: From = None,
    to: To = None,
) -> Summary:
    """Return what all ids have together in a range, or of all time, and how it is distributed."""
    entity = entity_of(entity_name)
    over = windows.range(from_, to)
    answer = await readers.analysis("Summaries", lambda store: store.summary(entity, over))
    found = answer.value
    return Summary(
        entity=entity.name,
        active_ids=found.active_ids,
        distribution=_distribution(found.percentiles),
        complete=windows.is_range_complete(over, found.newest, found.as_of),
        as_of=found.as_of,
        store=answer.store,
        **shown(found.total),
        **over.shown,
    )


def _distribution(percentiles: Mapping[str, Sequence[int]]) -> Distribution:
    if not percentiles:
        return Distribution(**dict.fromkeys(NAMES))
    # One percentile of every sum, as if it were an id's.
    p50, p90, p99 = (
        shown_sums(Sums(*values)) for values in zip(*(percentiles[n] for n in NAMES), strict=True)
    )
    return Distribution(
        **{name: Percentiles(p50=p50[name], p90=p90[name], p99=p99[name]) for name in NAMES}
    )
