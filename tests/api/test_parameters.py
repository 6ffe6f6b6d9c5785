"""Query parameters that a route does not take."""

import pytest

from tests.api.memory_store import MemoryReader, client, problem_of, totals

READER = MemoryReader("redis", {"d1": totals()})


@pytest.mark.parametrize(
    ("url", "name", "known"),
    [
        ("/metrics/driver/d1?form=2025-01-01", "form", ("from", "to")),
        ("/metrics/driver/d1?to=2025-01-01T00:00Z&FROM=2024-01-01", "FROM", ("from", "to")),
        ("/metrics/driver?page=2", "page", ("limit", "cursor", "prefix", "sort", "id")),
        ("/metrics/driver/d1/windows?timezone=UTC", "timezone", ("granularity", "tz")),
        ("/windows/driver?id=d1&step=PT1H", "step", ("id", "from", "to", "granularity", "tz")),
        ("/top/driver?sort=-trips", "sort", ("by", "limit", "id")),
        ("/summary/driver?id=d1", "id", ("from", "to")),
        ("/distribution/driver?by=trips", "by", ("id", "from", "to", "tz", "hours", "weekdays")),
        ("/metrics/driver/d1/distribution?id=a", "id", ("from", "to", "tz", "hours", "weekdays")),
        ("/compare/driver?ids=a,b", "ids", ("id", "other_id", "other_from", "other_to")),
        ("/live/driver?ids=a", "ids", ("id",)),
        ("/status?pretty", "pretty", ()),
        ("/health/live?pretty=1", "pretty", ()),
        ("/problems?page=2", "page", ()),
        ("/metrics/driver/d1?=1", "''", ("from", "to")),
    ],
)
def test_unknown_parameters_are_named(url: str, name: str, known: tuple[str, ...]) -> None:
    """The problem names the parameter that is unknown, and those that the route takes."""
    with client(READER) as http:
        detail = problem_of(http.get(url), 400)["detail"]
    assert detail.startswith(f"{name}: unknown; ")
    named = detail.rpartition(" are ")[2].split(", ")
    assert set(known) <= set(named)
    assert not {"readers", "windowing", "request", "entity_name"} & set(named)
    if not known:
        assert detail == f"{name}: unknown; there are none here"


def test_a_parameter_is_given_once() -> None:
    """Two ids are not taken for one."""
    with client(READER) as http:
        detail = problem_of(http.get("/metrics/driver?id=d1&id=d2"), 400)["detail"]
    assert detail == "id: given more than once"


@pytest.mark.parametrize(
    "url", ["/entity?entity=driver&id=d1", "/?x=1", "/assets/api.js?v=2", "/prometheus?x=1"]
)
def test_pages_and_scrapers_may_have_their_own(url: str) -> None:
    """Pages read their parameters in the browser."""
    with client(READER) as http:
        assert http.get(url).status_code == 200


def test_post_takes_no_unknown_parameters() -> None:
    """A parameter of another route is not taken for the body."""
    with client(READER) as http:
        response = http.post("/batch/driver?ids=d1", json={"ids": ["d1"]})
    assert problem_of(response, 400)["detail"] == "ids: unknown; the parameters are from, to, tz"
