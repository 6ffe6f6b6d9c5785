"""Problem details: each has a type, and each type is explained."""

import re
from pathlib import Path

import pytest
from litestar.testing import TestClient

import api
from api.app import create_app
from api.errors import RequestError
from api.representation.problem_types import PROBLEM_TYPES
from api.representation.problems import problem
from mobility.settings import Settings


def slugs_of(error: type[RequestError]) -> set[str]:
    """Return the slugs of an error and of all its subclasses."""
    return {error.slug}.union(*(slugs_of(subclass) for subclass in error.__subclasses__()))


def test_every_type_is_explained() -> None:
    """Each problem that the code raises has a type, with the same status."""
    assert slugs_of(RequestError) <= set(PROBLEM_TYPES)
    for error in RequestError.__subclasses__():
        assert PROBLEM_TYPES[error.slug].status == error.status
    sources = [path.read_text() for path in Path(api.__path__[0]).rglob("*.py")]
    raised = [call for text in sources for call in re.findall(r"\bproblem\([^)]*\)", text)]
    assert len(raised) > len(RequestError.__subclasses__())
    slugs = {slug for call in raised for slug in re.findall(r'slug="([^"]+)"', call)}
    assert slugs <= set(PROBLEM_TYPES)


@pytest.mark.parametrize("slug", PROBLEM_TYPES)
def test_a_type_has_an_explanation(slug: str) -> None:
    """The type of a problem is a path to its meaning and what to do."""
    raised = problem(PROBLEM_TYPES[slug].status, "", slug=slug)
    with TestClient(create_app(Settings()), "http://127.0.0.1") as http:
        assert raised.type_ is not None
        body = http.get(raised.type_).json()
        assert http.get("/problems").json()[slug] == body
    assert body["status"] == PROBLEM_TYPES[slug].status
    assert body["what"].endswith(".")
    assert body["do"]


def test_unknown_types_are_not_found() -> None:
    """An unknown type is not found, which is a problem with a type, too."""
    with TestClient(create_app(Settings()), "http://127.0.0.1") as http:
        for path in ("/problems/no-such", "/nowhere"):
            missing = http.get(path)
            assert missing.status_code == 404
            assert missing.json()["type"] == "/problems/not-found"
        wrong = http.put("/problems")
        assert wrong.json()["type"] == "/problems/method-not-allowed"
