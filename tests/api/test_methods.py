"""HEAD, and the methods that a path allows."""

import httpx
import pytest

from tests.api.memory_store import MemoryReader, client, totals

READER = MemoryReader("redis", {"d1": totals()})
PER_REQUEST = {"date", "ratelimit-remaining"}


def headers_of(response: httpx.Response) -> dict[str, str]:
    """Return the headers that two equal requests have in common."""
    return {name: value for name, value in response.headers.items() if name not in PER_REQUEST}


@pytest.mark.parametrize(
    "path",
    [
        "/metrics/driver",
        "/metrics/driver/d1",
        "/metrics/driver/d1/windows",
        "/windows/driver?id=d1",
        "/top/driver",
        "/metrics/driver/nobody",
        "/metrics/driver?form=x",
        "/health",
        "/health/live",
        "/status",
        "/session",
        "/problems",
        "/schema/openapi.json",
        "/",
        "/assets/api.js",
        "/rejected/dead-letters",
        "/live/driver",
        "/nowhere",
    ],
)
def test_head_has_the_headers_of_get_and_no_body(path: str) -> None:
    """It is answered wherever GET is, with the same status and headers, errors too."""
    with client(READER) as http:
        got, head = http.get(path), http.head(path)
    assert head.status_code == got.status_code
    assert headers_of(head) == headers_of(got)
    assert head.content == b""
    assert got.content


def test_head_is_conditional() -> None:
    """With the tag of the response it is 304, as GET is."""
    with client(READER) as http:
        tag = http.head("/metrics/driver/d1").headers["etag"]
        again = http.head("/metrics/driver/d1", headers={"if-none-match": tag})
    assert again.status_code == 304


def test_allow_names_head_beside_get() -> None:
    """A path that takes GET allows HEAD; one that does not, does not."""
    with client(READER) as http:
        assert http.put("/metrics/driver/d1").headers["allow"] == "GET, HEAD, OPTIONS"
        assert http.options("/metrics/driver/d1").headers["allow"] == "GET, HEAD, OPTIONS"
        only_post = http.head("/batch/driver")
    assert only_post.status_code == 405
    assert set(only_post.headers["allow"].split(", ")) == {"OPTIONS", "POST"}
