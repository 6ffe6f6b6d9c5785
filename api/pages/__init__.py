"""The pages and their assets: static files of this package."""

from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

from litestar import Request, Router, get
from litestar.datastructures import CacheControlHeader
from litestar.params import FromPath
from litestar.response import File

from api.access.authentication import PUBLIC
from api.middleware import ETags
from api.pages.measures import measures_script
from api.pages.settings import page_settings
from api.representation.problems import problem

_FOLDER: Final = Path(__file__).parent
_PAGES: Final = {
    "/": "index.html",
    "/overview": "overview.html",
    "/now": "overview.html",  # its name in links of earlier releases
    "/entity": "entity.html",
    "/pipeline": "pipeline.html",
    "/rejected": "rejected.html",
}
_ASSETS: Final = {
    f"/{path.relative_to(_FOLDER / 'assets').as_posix()}": path
    for path in (_FOLDER / "assets").rglob("*")
    if path.is_file()
}
"""By the path in the URL: no path from a request goes to the file system.

Litestar's router for static files does that, and fails with an error for names that no file can
have.
"""

_TYPES: Final = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".txt": "text/plain",
    ".woff2": "font/woff2",
}
"""By suffix, so that they are the same on every machine: browsers check the type of scripts."""

_REVALIDATE: Final = CacheControlHeader(no_cache=True).to_header()
"""Browsers revalidate their copy at each use, so that an upgrade shows at once."""

_CACHE: Final = CacheControlHeader(max_age=86_400, public=True).to_header()
"""For libraries of others, which have their version in the file name."""


@get([*_PAGES], include_in_schema=False)
async def page(request: Request[Any, Any, Any]) -> File:
    """Return a page."""
    return _file(_FOLDER / _PAGES[request.scope["path_template"]], _REVALIDATE)


@get("/assets/{name:path}", include_in_schema=False)
async def asset(name: FromPath[Path]) -> File:
    """Return an asset."""
    found = _ASSETS.get(name.as_posix())
    if found is None:
        raise problem(HTTPStatus.NOT_FOUND, "There is no such asset")
    return _file(found, _CACHE if "vendor" in found.parts else _REVALIDATE)


PAGES_ROUTER: Final = Router(
    "/",
    route_handlers=[page, asset, measures_script, page_settings],
    middleware=[ETags()],
    # The page that asks for a token needs none.
    opt={PUBLIC: True},
)


def _file(path: Path, caching: str) -> File:
    return File(
        path,
        filename=path.name,
        media_type=_TYPES.get(path.suffix),
        content_disposition_type="inline",
        headers={"cache-control": caching},
    )
