"""The page of the OpenAPI document. Its files are local; Litestar's pages load from other hosts."""

from pathlib import Path
from typing import Any

from litestar import Request
from litestar.openapi.plugins import OpenAPIRenderPlugin

_PAGE = Path(__file__).with_name("schema.html")


class SchemaPage(OpenAPIRenderPlugin):
    """Serves the page that shows `/schema/openapi.json`."""

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        """Return the page, which loads the document itself."""
        del request, openapi_schema
        return _PAGE.read_bytes()
