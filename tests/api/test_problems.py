"""Problems: each has a type, and each type is explained."""

import re
from pathlib import Path

import pytest
from litestar.testing import TestClient

import api
from api.app import create_app
from api.errors import Refusal
from api.representation.problem_types import KINDS
from api.representation.problems import problem
from mobility.settings import Settings


def kinds_of(refusal: type[Refusal]) -> set[str]:
    """Return the slugs of a refusal and of all that are more special."""
    return {refusal.slug}.union(*(kinds_of(special) for special in refusal.__subclasses__()))


def test_every_type_is_explained() -> None:
    """Whatever the code can raise has a row, with the status that it is raised with."""
    assert kinds_of(Refusal) <= set(KINDS)
    for special in Refusal.__subclasses__():
        assert KINDS[special.slug].status == special.status
    sources = [path.read_text() for path in Path(api.__path__[0]).rglob("*.py")]
    raised = [call for text in sources for call in re.findall(r"\bproblem\([^)]*\)", text)]
    assert len(raised) > len(Refusal.__subclasses__())
    assert {slug for call in raised for slug in re.findall(r'slug="([^"]+)"', call)} <= set(KINDS)


@pytest.mark.parametrize("slug", KINDS)
def test_an_explanation_is_served(slug: str) -> None:
    """A problem's type is a path, and leads to what it means and what to do."""
    raised = problem(KINDS[slug].status, "", slug=slug)
    with TestClient(create_app(Settings()), "http://127.0.0.1") as http:
        assert raised.type_ is not None
        body = http.get(raised.type_).json()
        assert http.get("/problems").json()[slug] == body
    assert body["status"] == KINDS[slug].status
    assert body["what"].endswith(".")
    assert body["do"]


def test_there_are_no_others() -> None:
    """A type that is none is not found, and that too is a problem with a type."""
    with TestClient(create_app(Settings()), "http://127.0.0.1") as http:
        for path in ("/problems/no-such", "/nowhere"):
            missing = http.get(path)
            assert missing.status_code == 404
            assert missing.json()["type"] == "/problems/not-found"
        wrong = http.put("/problems")
        assert wrong.json()["type"] == "/problems/method-not-allowed"
