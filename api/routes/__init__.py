"""The routes: from a request to the stores and back."""

from typing import Final

from litestar import Router

from api.etags import ETags
from api.representation.freshness import say_how_fresh
from api.routes.batch import batch
from api.routes.compare import compare
from api.routes.listing import listing
from api.routes.metrics import metrics
from api.routes.problems import kind, kinds
from api.routes.series import series, series_by_query
from api.routes.summary import summary
from api.routes.top import top

QUERIES: Final = Router(
    path="/",
    route_handlers=[
        metrics,
        listing,
        series,
        series_by_query,
        top,
        summary,
        compare,
        batch,
        kinds,
        kind,
    ],
    after_request=say_how_fresh,
    middleware=[ETags],
)
