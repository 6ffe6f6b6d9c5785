"""The pages and what they load: files of this package, sent as they are."""

from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

from litestar import Request, Router, get
from litestar.datastructures import CacheControlHeader
from litestar.params import FromPath
from litestar.response import File

from api.access.authentication import OPEN
from api.pages.not_modified import NotModified
from api.pages.settings import page_settings
from api.representation.problems import problem

_FOLDER: Final = Path(__file__).parent
_PAGES: Final = {
    "/": "index.html",
    "/now": "now.html",
    "/entity": "entity.html",
    "/pipeline": "pipeline.html",
}
_ASSETS: Final = {
    f"/{path.relative_to(_FOLDER / 'assets').as_posix()}": path
    for path in (_FOLDER / "assets").rglob("*")
    if path.is_file()
}
"""Nothing is looked for by a name from outside: what is not listed here is not there.

Litestar's router for static files asks the file system, and fails over names that it can't have.
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
"""By the suffix, on every machine alike: a browser runs no script of another type."""

_ASK: Final = CacheControlHeader(no_cache=True).to_header()
"""Kept by the browser, and asked about each time: an upgrade shows at once."""

_KEEP: Final = CacheControlHeader(max_age=86_400, public=True).to_header()
"""For what others have released: it has its version in its name."""


@get([*_PAGES], include_in_schema=False)
async def page(request: Request[Any, Any, Any]) -> File:
    """Return a page."""
    return _file(_FOLDER / _PAGES[request.scope["path_template"]], _ASK)


@get("/assets/{name:path}", include_in_schema=False)
async def asset(name: FromPath[Path]) -> File:
    """Return a file that a page loads."""
    found = _ASSETS.get(name.as_posix())
    if found is None:
        raise problem(HTTPStatus.NOT_FOUND, "No page loads such a file")
    return _file(found, _KEEP if "vendor" in found.parts else _ASK)


PAGES: Final = Router(
    "/",
    route_handlers=[page, asset, page_settings],
    middleware=[NotModified()],
    # Whoever has no token must be able to see the page that asks for it.
    opt={OPEN: True},
)


def _file(path: Path, caching: str) -> File:
    return File(
        path,
        filename=path.name,
        media_type=_TYPES.get(path.suffix),
        content_disposition_type="inline",
        headers={"cache-control": caching},
    )
