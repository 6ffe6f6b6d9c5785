"""The OpenAPI document as a page, from local files: Litestar's own pages load from elsewhere."""

from pathlib import Path
from typing import Any

from litestar import Request
from litestar.openapi.plugins import OpenAPIRenderPlugin

_PAGE = Path(__file__).with_name("schema.html")


class SchemaPage(OpenAPIRenderPlugin):
    """Serves the page that draws `/schema/openapi.json`."""

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        """Return the page: it is the same for every document."""
        del request, openapi_schema
        return _PAGE.read_bytes()
