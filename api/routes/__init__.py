"""The routes of queries: each reads parameters, queries the stores and returns a response."""

from typing import Final

from litestar import Router

from api.middleware import ETags
from api.representation.responses import add_freshness_headers
from api.routes.batch import batch
from api.routes.compare import compare
from api.routes.distribution import distribution, id_distribution
from api.routes.listing import listing
from api.routes.metrics import metrics
from api.routes.problems import problem_type, problem_types
from api.routes.rejected import dead_letters, late_trips
from api.routes.series import series, windows
from api.routes.summary import summary
from api.routes.top import top
from api.routes.week import week

QUERIES_ROUTER: Final = Router(
    path="/",
    route_handlers=[
        metrics,
        listing,
        series,
        windows,
        top,
        summary,
        week,
        id_distribution,
        distribution,
        compare,
        batch,
        dead_letters,
        late_trips,
        problem_types,
        problem_type,
    ],
    after_request=add_freshness_headers,
    middleware=[ETags()],
)
