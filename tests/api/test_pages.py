"""Pages and assets: files, their types, and the headers that restrict them."""

import json
import re
from pathlib import Path

import pytest
from litestar import Litestar
from litestar.testing import TestClient

import api.pages
from api.app import create_app
from mobility.measures import MEANS, MEASURE_SCHEMA, SUMS
from mobility.settings import Settings

FOLDER = Path(api.pages.__file__).parent


def client() -> TestClient[Litestar]:
    """Return a client of an application without stores."""
    return TestClient(create_app(Settings()), "http://127.0.0.1")


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/", "index"),
        ("/overview", "overview"),
        ("/now", "overview"),
        ("/entity", "entity"),
        ("/pipeline", "pipeline"),
        ("/rejected", "rejected"),
    ],
)
def test_pages_are_served_as_files(path: str, name: str) -> None:
    """A page is sent as it is in the package; a browser that has it gets 304."""
    with client() as http:
        found = http.get(path)
        assert found.content == (FOLDER / f"{name}.html").read_bytes()
        assert found.headers["content-type"] == "text/html; charset=utf-8"
        assert found.headers["cache-control"] == "no-cache"
        again = http.get(path, headers={"if-none-match": found.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        other = http.get(path, headers={"if-none-match": '"other"'})
        assert other.status_code == 200


def test_every_asset_is_served() -> None:
    """Each file of the folder is sent with its media type."""
    assets = [path for path in (FOLDER / "assets").rglob("*") if path.is_file()]
    assert assets
    types = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
    with client() as http:
        for asset in assets:
            found = http.get(f"/assets/{asset.relative_to(FOLDER / 'assets').as_posix()}")
            assert found.status_code == 200
            assert found.content == asset.read_bytes()
            expected = types.get(asset.suffix)
            assert expected is None or found.headers["content-type"].startswith(expected)


@pytest.mark.parametrize(
    "path",
    ["../index.html", "%2e%2e/index.html", "..%2findex.html", "x.css", "vendor/x.js", "%00", ""],
)
def test_other_files_are_not_served(path: str) -> None:
    """A path outside the folder is not found, in any spelling."""
    with client() as http:
        assert http.get(f"/assets/{path}").status_code == 404


def test_pages_have_no_inline_scripts_or_styles() -> None:
    """The Content Security Policy forbids them: no script, style or handler in the page itself."""
    for page in FOLDER.glob("*.html"):
        text = page.read_text()
        assert not re.search(r"<script(?![^>]*\bsrc=)", text), page
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=", text), page
        assert not re.search(r"""(src|href)=["']?(https?:)?//""", text), page


@pytest.mark.parametrize("path", ["/", "/assets/base.css", "/nowhere", "/health", "/status"])
def test_every_response_has_security_headers(path: str) -> None:
    """Pages, files, data and problems have the policy and the other headers."""
    with client() as http:
        headers = http.get(path).headers
    policy = dict(
        part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";")
    )
    assert policy["default-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["object-src"] == policy["base-uri"] == "'none'"
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["x-frame-options"] == "DENY"


def test_page_settings() -> None:
    """Pages get the length of a window, the lateness, the out-of-orderness and the time zone."""
    settings = Settings(
        window=60, allowed_lateness=30, out_of_orderness=5, timezone="Asia/Kolkata", api_tokens=None
    )
    with TestClient(create_app(settings), "http://127.0.0.1") as http:
        found = http.get("/page-settings").json()
    durations = {"window": 60, "allowed_lateness": 30, "out_of_orderness": 5}
    assert found == durations | {"timezone": "Asia/Kolkata", "tiles": None, "tiles_credit": None}


def test_the_policy_allows_images_of_the_tile_server_only() -> None:
    """Images may come from it; the policy for scripts and all else does not change."""
    tiles = "https://tiles.example:8443/{z}/{x}/{y}.png?style=plain"
    settings = Settings(map_tiles=tiles, map_credit="© surveyors")
    with TestClient(create_app(settings), "http://127.0.0.1") as http:
        page = http.get("/")
        assert http.get("/page-settings").json()["tiles"] == tiles
    policy = page.headers["content-security-policy"].split("; ")
    assert "img-src 'self' data: https://tiles.example:8443" in policy
    assert "default-src 'self'" in policy
    assert sum("tiles.example" in part for part in policy) == 1


def test_scripts_get_the_measures_of_the_table() -> None:
    """Names, units and counts of measures and of their means, and the names of the sums."""
    with client() as http:
        found = http.get("/assets/measures.js")
    assert found.headers["content-type"].startswith("text/javascript")
    assert found.headers["cache-control"] == "no-cache"
    lines = [line.removesuffix(";").split(" = ") for line in found.text.splitlines()]
    exported = {name.removeprefix("export const "): json.loads(value) for name, value in lines}
    assert exported["SUMS"] == [*SUMS]
    assert exported["MEASURES"].keys() == {*MEASURE_SCHEMA, *MEANS}
    assert exported["MEASURES"]["total_distance"] == {
        "name": "Distance",
        "unit": "km",
        "count": "distance_count",
    }
    assert exported["MEASURES"]["max_price"]["count"] == "revenue_count"
    assert exported["MEASURES"]["total_duration"]["count"] == "trip_count"
    assert exported["MEASURES"]["avg_revenue"] == {
        "name": "Revenue per trip",
        "unit": "in the currency of the trips, mean",
        "count": "revenue_count",
        "of": "total_revenue",
    }
