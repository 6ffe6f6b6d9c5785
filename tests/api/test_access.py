"""Who may ask, from where and how often."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from api.access.tokens import Tokens, TokensError, make_token, read_tokens
from api.app import app_over
from api.middleware import Rate
from api.queries.store_readers import Readers
from mobility.entities import BY_NAME
from mobility.settings import Settings
from tests.api.test_app import MemoryReader, problem_of, totals

ORIGIN = "https://city.example"


def client(base: str = "http://127.0.0.1", **settings: Any) -> TestClient[Litestar]:  # noqa: ANN401
    """Return a client of an application with these settings and one id of each entity."""
    app = app_over(Readers([MemoryReader("redis", {"x": totals()})]), Settings(**settings))
    return TestClient(app, base, raise_server_exceptions=False)


@pytest.fixture
def tokens(tmp_path: Path) -> dict[str, str]:
    """Return tokens by their names, and the path of their file as `file`."""
    made = {
        name: make_token(name, scopes)
        for name, scopes in {
            "all": "all",
            "fleet": "driver,vehicle_type,h3",
            "prometheus": "none",
        }.items()
    }
    path = tmp_path / "tokens"
    path.write_text("# ours\n\n" + "\n".join(line for _, line in made.values()) + "\n")
    return {"file": str(path), **{name: token for name, (token, _) in made.items()}}


def bearer(token: str) -> dict[str, str]:
    """Return the header that carries a token."""
    return {"Authorization": f"Bearer {token}"}


# Tokens


def test_a_token_is_known_by_its_hash_alone(tokens: dict[str, str]) -> None:
    """The file holds no token, and one that differs anywhere is none."""
    text = Path(tokens["file"]).read_text()
    found = read_tokens(Path(tokens["file"]))
    for name in ("all", "fleet", "prometheus"):
        token = tokens[name]
        assert token not in text
        assert len(token) > 40
        owner = found.find(token)
        assert owner is not None
        assert owner.name == name
        for other in (token[:-1], token + "x", token.swapcase(), "", "\ud800"):
            assert found.find(other) is None
    assert Tokens(()).find(tokens["all"]) is None


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("analyst all", "expected a name"),
        ("analyst all " + "f" * 63, "expected a name"),
        ("analyst tram " + "f" * 64, "scopes are"),
        ("analyst driver,,h3 " + "f" * 64, "scopes are"),
        ("# only a comment", "holds no token"),
    ],
)
def test_a_file_that_cannot_be_used_says_where(tmp_path: Path, line: str, said: str) -> None:
    """By its line, and without showing it: somebody may have put a token there."""
    path = tmp_path / "tokens"
    path.write_text(f"ok all {'0' * 64}\n{line}\n" if "only" not in line else line)
    with pytest.raises(TokensError, match=said) as caught:
        read_tokens(path)
    assert line not in str(caught.value)
    assert "only" in line or "line 2" in str(caught.value)
    with pytest.raises(TokensError, match="MOBILITY_API_TOKENS"):
        read_tokens(tmp_path / "missing")


def test_the_recipe_prints_a_line_for_the_file(tmp_path: Path) -> None:
    """The line goes to standard output and the token to where only people look."""
    made = subprocess.run(
        [sys.executable, "-m", "api.access", "analyst", "driver"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    path = tmp_path / "tokens"
    path.write_text(made.stdout)
    (token,) = re.findall(r"token, .*: (\S+)$", made.stderr, re.MULTILINE)
    found = read_tokens(path).find(token)
    assert found is not None
    assert (found.name, found.scopes) == ("analyst", frozenset({"driver"}))
    for arguments in ([], ["--help"], ["a b"], ["a", "tram"], ["a", "all", "b"]):
        wrong = [sys.executable, "-m", "api.access", *arguments]
        failed = subprocess.run(
            wrong, cwd=Path(__file__).parents[2], capture_output=True, check=False
        )
        assert failed.returncode == 2
        assert failed.stdout == b""


# What tokens open

PROTECTED = ("/metrics/driver", "/metrics/driver/x", "/live/driver/x", "/status")
OPEN = ("/", "/assets/style.css", "/health", "/health/live", "/health/ready", "/schema", "/session")


def test_without_a_token_only_what_is_open_answers(tokens: dict[str, str]) -> None:
    """Everything else is 401, with the way to bring one."""
    with client(api_tokens=tokens["file"]) as http:
        for path in PROTECTED:
            refused = http.get(path)
            assert problem_of(refused, 401)["type"] == "/problems/token-needed"
            assert refused.headers["www-authenticate"] == "Bearer"
        for path in OPEN:
            assert http.get(path).status_code != 401, path
        for header in ("Bearer nonsense", f"Basic {tokens['all']}", tokens["all"], "Bearer"):
            problem_of(http.get("/status", headers={"Authorization": header}), 401)
        for path in ("/metrics/driver/x", "/status"):
            assert http.get(path, headers=bearer(tokens["all"])).status_code == 200


def test_every_route_is_open_or_protected_on_purpose(tokens: dict[str, str]) -> None:
    """A new route is protected unless it says otherwise; those that do are the ones above."""
    app = client(api_tokens=tokens["file"]).app
    found = {
        route.path
        for route in app.routes
        for handler in getattr(route, "route_handlers", ())
        if handler.opt.get("open") and not route.path.startswith(("/schema", "/problems"))
    }
    assert found <= {
        *("/", "/now", "/entity", "/pipeline", "/assets/{name:path}", "/session"),
        *("/health", "/health/live", "/health/ready", "/page-settings"),
    }


@pytest.mark.parametrize("name", ["all", "fleet", "prometheus"])
def test_scopes_open_entities(tokens: dict[str, str], name: str) -> None:
    """A token without passengers gets none of them, by whatever route or spelling."""
    scopes = {"all": set(BY_NAME), "fleet": set(BY_NAME) - {"passenger"}, "prometheus": set()}[name]
    with client(api_tokens=tokens["file"]) as http:
        http.headers.update(bearer(tokens[name]))
        for entity in BY_NAME:
            for path in (f"/metrics/{entity}/x", f"/metrics/{entity}"):
                answer = http.get(path)
                if entity in scopes:
                    assert answer.status_code == 200
                else:
                    assert problem_of(answer, 403)["type"] == "/problems/out-of-scope"
            expected = 404 if entity in scopes else 403  # no Redis here
            assert http.get(f"/live/{entity}").status_code == expected
        assert http.get("/status").status_code == 200
        if "passenger" not in scopes:
            odd = ("passenge%72", "Passenger", "passenger%20", "./passenger", "driver/../passenger")
            for spelling in odd:
                for path in (f"/metrics/{spelling}/x", f"/metrics/{spelling}"):
                    assert http.get(path).status_code in {403, 404}, path


# Sessions


def test_pages_exchange_a_token_for_a_cookie(tokens: dict[str, str]) -> None:
    """A cookie that scripts can't read and other sites can't send, with the token's scopes."""
    with client(api_tokens=tokens["file"]) as http:
        assert http.get("/session").json() == {"required": True, "name": None, "scopes": []}
        wrong = http.post("/session", json={"token": "x"})
        assert problem_of(wrong, 401)["type"] == "/problems/token-needed"
        assert "set-cookie" not in wrong.headers
        logged_in = http.post("/session", json={"token": tokens["fleet"]})
        expected = {"required": True, "name": "fleet", "scopes": ["driver", "h3", "vehicle_type"]}
        assert logged_in.json() == expected
        cookie = logged_in.headers["set-cookie"].lower()
        assert {"httponly", "samesite=strict", "path=/"} <= set(cookie.split("; "))
        assert "secure" not in cookie
        assert logged_in.headers["cache-control"] == "no-store"
        assert http.get("/session").json() == expected
        assert http.get("/metrics/driver/x").status_code == 200
        assert http.get("/metrics/passenger/x").status_code == 403
        # A header that is given counts alone.
        assert http.get("/status", headers=bearer("x")).status_code == 401
        assert http.delete("/session").status_code == 204
        assert http.get("/session").json()["name"] is None
        assert http.get("/metrics/driver/x").status_code == 401


def test_the_cookie_is_secure_where_the_page_is(tokens: dict[str, str]) -> None:
    """Over https it goes over https alone."""
    with client("https://127.0.0.1", api_tokens=tokens["file"]) as http:
        cookie = http.post("/session", json={"token": tokens["all"]}).headers["set-cookie"]
    assert "secure" in cookie.lower().split("; ")


def test_a_session_needs_json(tokens: dict[str, str]) -> None:
    """What a form of another site could send is no login."""
    with client(api_tokens=tokens["file"]) as http:
        for body in ({"data": {"token": tokens["all"]}}, {"content": b"{"}, {"json": {"x": 1}}):
            assert "set-cookie" not in http.post("/session", **body).headers


def test_without_tokens_everybody_here_may_ask() -> None:
    """On a machine of one's own there is nobody to keep out, and pages need not ask."""
    with client() as http:
        open_to_all = {"required": False, "name": None, "scopes": sorted(BY_NAME)}
        assert http.get("/session").json() == open_to_all
        assert http.post("/session", json={"token": "x"}).json() == open_to_all
        assert http.get("/metrics/passenger/x").status_code == 200


def test_beyond_this_machine_tokens_are_needed(tokens: dict[str, str]) -> None:
    """An address that others reach is refused without them, with what to do."""
    for host in ("0.0.0.0", "::", "192.0.2.1", "no-such-host.invalid"):  # noqa: S104
        with pytest.raises(TokensError, match=r"MOBILITY_API_TOKENS=FILE"):
            client(api_host=host)
        client(api_host=host, api_tokens=tokens["file"])
    for host in ("127.0.0.1", "127.8.8.8", "localhost", "::1"):
        client(api_host=host)


# Names, rates, other origins


@pytest.mark.parametrize(
    ("host", "is_known"),
    [
        ("127.0.0.1", True),
        ("127.0.0.1:8080", True),
        ("LOCALHOST:1", True),
        ("[::1]:8000", True),
        ("city.example", True),
        ("a.b.example.org:99", True),
        ("example.org", False),
        ("badexample.org", False),
        ("evil.example", False),
        ("127.0.0.1.evil.example", False),
        ("evil.example:127.0.0.1", False),
        ("cityxexample", False),
        ("a.example.org.evil.example", False),
        ("127.0.0.1:x", False),
        ("", False),
    ],
)
def test_only_known_names_are_answered_to(host: str, *, is_known: bool) -> None:
    """A page of another site that points its own name here is refused."""
    with client(api_hosts=("city.example", "*.example.org")) as http:
        for path in ("/metrics/driver/x", "/", "/health"):
            answer = http.get(path, headers={"host": host})
            if is_known:
                assert answer.status_code == 200
            else:
                assert problem_of(answer, 421)["type"] == "/problems/unknown-host"


def test_the_address_it_listens_at_is_a_name() -> None:
    """Where it is bound to one address, that is how others ask."""
    with client("http://127.9.9.9", api_host="127.9.9.9") as http:
        assert http.get("/health/live").status_code == 200
    with client("http://127.9.9.9") as http:
        assert http.get("/health/live").status_code == 421


def test_too_many_requests_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one above the limit is 429 and says when to come again, which then is fine."""
    now = [100.0]
    monkeypatch.setattr(Rate.__init__, "__defaults__", (lambda: now[0],))
    with client(api_rate=3) as http:
        lefts = [http.get("/health/live").headers["ratelimit-remaining"] for _ in range(3)]
        assert lefts == ["2", "1", "0"]
        refused = http.get("/health/live")
        assert problem_of(refused, 429)["type"] == "/problems/too-many-requests"
        assert refused.headers["retry-after"] == "1"
        now[0] += 1
        assert http.get("/health/live").status_code == 200
    with client(api_rate=0) as http:
        assert {http.get("/health/live").status_code for _ in range(300)} == {200}


def test_addresses_are_counted_apart_and_forgotten() -> None:
    """One that asks too much stands in nobody's way, and after a second nothing is kept."""
    now = [0.0]
    rate = Rate(1, lambda: now[0])
    for number in range(100):
        rate._counts[str(number)] += 1
    now[0] += 1
    assert len(rate._counts) == 100
    app = Litestar(middleware=[rate], openapi_config=None)
    assert app is not None


@pytest.fixture
def shared() -> Iterator[TestClient[Litestar]]:
    """Return a client of an application that lets one other origin ask."""
    with client(api_origins=(ORIGIN,)) as http:
        yield http


def test_named_origins_may_ask(shared: TestClient[Litestar]) -> None:
    """The browser is told so for them and for no other, and never to send our cookie along."""
    found = shared.get("/metrics/driver/x", headers={"Origin": ORIGIN})
    assert found.headers["access-control-allow-origin"] == ORIGIN
    assert "access-control-allow-credentials" not in found.headers
    other = shared.get("/metrics/driver/x", headers={"Origin": "https://evil.example"})
    assert "access-control-allow-origin" not in other.headers
    asked = {"Origin": ORIGIN, "Access-Control-Request-Method": "POST"}
    assert shared.options("/session", headers=asked).status_code == 204
    with client() as http:
        answer = http.get("/metrics/driver/x", headers={"Origin": ORIGIN})
        assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("text", ["<img src=x onerror=alert(1)>", "</script><script>1</script>"])
def test_ids_are_never_pages(text: str) -> None:
    """An id comes back as JSON that no browser takes for anything else."""
    app = app_over(Readers([MemoryReader("redis", {text: totals()})]), Settings())
    with TestClient(app, "http://127.0.0.1") as http:
        answer = http.get(f"/metrics/driver/{quote(text, safe='')}")
    assert answer.json()["id"] == text
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-content-type-options"] == "nosniff"
