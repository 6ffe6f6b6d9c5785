"""`/session`: pages exchange a token for a cookie, as a browser's EventSource sends no header."""

from http import HTTPStatus
from typing import Any, Final

import msgspec
from litestar import Request, Response, delete, get, post
from litestar.datastructures import Cookie
from litestar.di import NamedDependency
from litestar.params import JSONBody

from api.access.authentication import COOKIE, OPEN, token_of
from api.access.tokens import EVERYTHING, Token, Tokens
from api.representation.problems import problem

_OPEN: Final = {OPEN: True}
_NO_STORE: Final = {"Cache-Control": "no-store"}


class Login(msgspec.Struct, frozen=True):
    """A token as `just token` made it."""

    token: str


class Session(msgspec.Struct, frozen=True):
    """Who asks: whether a token is needed at all, whose it is, and the entities that it opens."""

    required: bool
    name: str | None
    scopes: list[str]


@get("/session", opt=_OPEN, response_headers=_NO_STORE)
async def session(
    request: Request[Any, Any, Any], tokens: NamedDependency[Tokens | None]
) -> Session:
    """Return who is asking."""
    if tokens is None:
        return Session(required=False, name=None, scopes=sorted(EVERYTHING))
    return _session(token_of(request, tokens))


@post("/session", opt=_OPEN, status_code=HTTPStatus.OK)
async def log_in(
    data: JSONBody[Login], request: Request[Any, Any, Any], tokens: NamedDependency[Tokens | None]
) -> Response[Session]:
    """Exchange a token for a cookie that no script can read and no other site can send."""
    if tokens is None:
        return Response(Session(False, None, sorted(EVERYTHING)), headers=_NO_STORE)
    token = tokens.find(data.token)
    if token is None:
        raise problem(HTTPStatus.UNAUTHORIZED, "This is no token of ours", slug="token-needed")
    cookie = _cookie(request, data.token)
    return Response(_session(token), headers=_NO_STORE, cookies=[cookie])


@delete("/session", opt=_OPEN)
async def log_out(request: Request[Any, Any, Any]) -> Response[None]:
    """Take the cookie back."""
    cookie = _cookie(request, "")
    cookie.max_age = 0
    return Response(None, cookies=[cookie])


def _session(token: Token | None) -> Session:
    if token is None:
        return Session(required=True, name=None, scopes=[])
    return Session(required=True, name=token.name, scopes=sorted(token.scopes))


def _cookie(request: Request[Any, Any, Any], value: str) -> Cookie:
    return Cookie(
        key=COOKIE,
        value=value,
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
