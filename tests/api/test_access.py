"""Access control: tokens, sessions, allowed hosts, rate limit, other origins."""

import asyncio
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

import pytest
from litestar import Litestar
from litestar.exceptions import HTTPException
from litestar.testing import TestClient
from litestar.types import Scope

from api.access.tokens import Tokens, TokensError, create_token, read_tokens
from api.middleware import RateLimit
from mobility.entities import BY_NAME
from tests.api import memory_store
from tests.api.memory_store import MemoryReader, problem_of, totals

ORIGIN = "https://city.example"


def client(
    base_url: str = "http://127.0.0.1",
    **settings: Any,  # noqa: ANN401 - the value of any setting
) -> TestClient[Litestar]:
    """Return a client of an application with these settings and one id of each entity."""
    reader = MemoryReader("redis", {"x": totals()})
    return memory_store.client(reader, base_url=base_url, **settings)


@pytest.fixture
def tokens(tmp_path: Path) -> dict[str, str]:
    """Return tokens by name, and the path of their file as `file`."""
    made = {
        name: create_token(name, scopes)
        for name, scopes in {
            "all": "all",
            "fleet": "driver,vehicle_type,h3",
            "prometheus": "none",
        }.items()
    }
    path = tmp_path / "tokens"
    path.write_text("# a comment\n\n" + "\n".join(line for _, line in made.values()) + "\n")
    return {"file": str(path), **{name: token for name, (token, _) in made.items()}}


def bearer(token: str) -> dict[str, str]:
    """Return the Authorization header with a token."""
    return {"Authorization": f"Bearer {token}"}


# Tokens


def test_the_file_has_hashes_only(tokens: dict[str, str]) -> None:
    """The file contains no token; a text that differs from a token anywhere is not valid."""
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
    ("line", "message"),
    [
        ("analyst all", "expected a name"),
        ("analyst all " + "f" * 63, "expected a name"),
        ("analyst tram " + "f" * 64, "scopes are"),
        ("analyst driver,,h3 " + "f" * 64, "scopes are"),
        ("# only a comment", "holds no token"),
    ],
)
def test_an_invalid_file_is_reported_by_line(tmp_path: Path, line: str, message: str) -> None:
    """The error has the number of the line, but not its text, which may be a token."""
    path = tmp_path / "tokens"
    path.write_text(f"ok all {'0' * 64}\n{line}\n" if "only" not in line else line)
    with pytest.raises(TokensError, match=message) as caught:
        read_tokens(path)
    assert line not in str(caught.value)
    assert "only" in line or "line 2" in str(caught.value)
    with pytest.raises(TokensError, match="MOBILITY_API_TOKENS"):
        read_tokens(tmp_path / "missing")


def test_the_command_prints_a_line_for_the_file(tmp_path: Path) -> None:
    """The line goes to stdout, and the token to stderr."""
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


# Scopes

PROTECTED = ("/metrics/driver", "/metrics/driver/x", "/live/driver/x", "/status")
PUBLIC = (
    "/",
    "/assets/style.css",
    "/health",
    "/health/live",
    "/health/ready",
    "/schema",
    "/session",
)


def test_without_a_token_only_public_routes_answer(tokens: dict[str, str]) -> None:
    """All others are 401, with the way to authenticate."""
    with client(api_tokens=tokens["file"]) as http:
        for path in PROTECTED:
            refused = http.get(path)
            assert problem_of(refused, 401)["type"] == "/problems/token-needed"
            assert refused.headers["www-authenticate"] == "Bearer"
        for path in PUBLIC:
            assert http.get(path).status_code != 401, path
        for header in ("Bearer nonsense", f"Basic {tokens['all']}", tokens["all"], "Bearer"):
            problem_of(http.get("/status", headers={"Authorization": header}), 401)
        for path in ("/metrics/driver/x", "/status"):
            assert http.get(path, headers=bearer(tokens["all"])).status_code == 200


def test_only_listed_routes_are_public(tokens: dict[str, str]) -> None:
    """A route needs a token unless it is declared public; these are all public routes."""
    app = client(api_tokens=tokens["file"]).app
    found = {
        route.path
        for route in app.routes
        for handler in getattr(route, "route_handlers", ())
        if handler.opt.get("public") and not route.path.startswith(("/schema", "/problems"))
    }
    assert found <= {
        *("/", "/overview", "/now", "/entity", "/pipeline", "/rejected"),
        *("/assets/{name:path}", "/session"),
        *("/health", "/health/live", "/health/ready", "/page-settings", "/assets/measures.js"),
    }


@pytest.mark.parametrize("name", ["all", "fleet", "prometheus"])
def test_scopes_restrict_entities(tokens: dict[str, str], name: str) -> None:
    """A token without passengers in its scopes gets none of them, on any route and spelling."""
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
            # Nor Postgres.
            assert http.get(f"/windows/{entity}").status_code == expected
            assert http.head(f"/windows/{entity}").status_code == expected
        assert http.get("/status").status_code == 200
        if "passenger" not in scopes:
            odd = ("passenge%72", "Passenger", "passenger%20", "./passenger", "driver/../passenger")
            for spelling in odd:
                for path in (f"/metrics/{spelling}/x", f"/metrics/{spelling}"):
                    assert http.get(path).status_code in {403, 404}, path


# Sessions


def test_pages_exchange_a_token_for_a_cookie(tokens: dict[str, str]) -> None:
    """Scripts can't read the cookie, other sites can't send it, and it has the token's scopes."""
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
        # With an Authorization header, the cookie does not count.
        assert http.get("/status", headers=bearer("x")).status_code == 401
        assert http.delete("/session").status_code == 204
        assert http.get("/session").json()["name"] is None
        assert http.get("/metrics/driver/x").status_code == 401


def test_the_cookie_is_secure_over_https(tokens: dict[str, str]) -> None:
    """A cookie that was set over https is sent over https only."""
    with client("https://127.0.0.1", api_tokens=tokens["file"]) as http:
        cookie = http.post("/session", json={"token": tokens["all"]}).headers["set-cookie"]
    assert "secure" in cookie.lower().split("; ")


def test_a_session_needs_json(tokens: dict[str, str]) -> None:
    """A form, which another site could send, can't log in."""
    with client(api_tokens=tokens["file"]) as http:
        for body in ({"data": {"token": tokens["all"]}}, {"content": b"{"}, {"json": {"x": 1}}):
            assert "set-cookie" not in http.post("/session", **body).headers


def test_without_tokens_every_request_is_allowed() -> None:
    """The session then says that no token is required."""
    with client() as http:
        no_token_required = {"required": False, "name": None, "scopes": sorted(BY_NAME)}
        assert http.get("/session").json() == no_token_required
        assert http.post("/session", json={"token": "x"}).json() == no_token_required
        assert http.get("/metrics/passenger/x").status_code == 200


def test_other_addresses_than_loopback_need_tokens(tokens: dict[str, str]) -> None:
    """An address that other machines can reach is an error without tokens."""
    for host in ("0.0.0.0", "::", "192.0.2.1", "no-such-host.invalid"):  # noqa: S104
        with pytest.raises(TokensError, match=r"MOBILITY_API_TOKENS=FILE"):
            client(api_host=host)
        client(api_host=host, api_tokens=tokens["file"])
    for host in ("127.0.0.1", "127.8.8.8", "localhost", "::1"):
        client(api_host=host)


# Allowed hosts, rate limit, other origins


@pytest.mark.parametrize(
    ("host", "is_allowed"),
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
def test_only_allowed_hosts_are_answered(host: str, *, is_allowed: bool) -> None:
    """A page of another site whose name resolves to this machine gets 421."""
    with client(api_hosts=("city.example", "*.example.org")) as http:
        for path in ("/metrics/driver/x", "/", "/health"):
            answer = http.get(path, headers={"host": host})
            if is_allowed:
                assert answer.status_code == 200
            else:
                assert problem_of(answer, 421)["type"] == "/problems/unknown-host"


def test_the_listening_address_is_an_allowed_host() -> None:
    """If the API listens on one address, clients use that address as the host."""
    with client("http://127.9.9.9", api_host="127.9.9.9") as http:
        assert http.get("/health/live").status_code == 200
    with client("http://127.9.9.9") as http:
        assert http.get("/health/live").status_code == 421


def test_requests_above_the_limit_are_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are 429 with Retry-After; after that time requests are answered again."""
    now = [100.0]
    monkeypatch.setattr(RateLimit.__init__, "__defaults__", (lambda: now[0],))
    with client(api_rate=3) as http:
        remaining = [http.get("/health/live").headers["ratelimit-remaining"] for _ in range(3)]
        assert remaining == ["2", "1", "0"]
        refused = http.get("/health/live")
        assert problem_of(refused, 429)["type"] == "/problems/too-many-requests"
        assert refused.headers["retry-after"] == "1"
        now[0] += 1
        assert http.get("/health/live").status_code == 200
    with client(api_rate=0) as http:
        assert {http.get("/health/live").status_code for _ in range(300)} == {200}


def test_addresses_are_counted_separately_and_removed() -> None:
    """An address above its limit does not affect others; after a second no count is kept."""
    now = [0.0]
    limit = RateLimit(1, lambda: now[0])

    async def answer(*_: object) -> None:
        """Answer nothing: the request has passed."""

    def is_allowed(address: str) -> bool:
        scope = cast("Scope", {"client": (address, 1)})
        try:
            asyncio.run(limit.handle(scope, answer, answer, answer))  # type: ignore[arg-type]
        except HTTPException:
            return False
        return True

    assert [is_allowed(address) for address in ("a", "a", "b")] == [True, False, True]
    now[0] += 1
    assert is_allowed("a")
    assert set(limit._counts) == {"a"}


@pytest.fixture
def shared() -> Iterator[TestClient[Litestar]]:
    """Return a client of an application that allows requests of one other origin."""
    with client(api_origins=(ORIGIN,)) as http:
        yield http


def test_configured_origins_may_send_requests(shared: TestClient[Litestar]) -> None:
    """CORS headers allow them and no other origin, and never the cookie."""
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
def test_ids_are_never_html(text: str) -> None:
    """A response with an id is JSON, and browsers do not interpret it as anything else."""
    with memory_store.client(MemoryReader("redis", {text: totals()})) as http:
        answer = http.get(f"/metrics/driver/{quote(text, safe='')}")
    assert answer.json()["id"] == text
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-content-type-options"] == "nosniff"
