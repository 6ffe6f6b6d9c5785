"""`/session`: pages exchange a token for a cookie, as EventSource in a browser sends no header."""

from http import HTTPStatus
from typing import Any, Final

import msgspec
from litestar import Request, Response, delete, get, post
from litestar.datastructures import Cookie
from litestar.di import NamedDependency
from litestar.params import JSONBody

from api.access.authentication import COOKIE, PUBLIC, find_token
from api.access.tokens import ALL_SCOPES, Token, Tokens
from api.representation.problems import problem

_PUBLIC: Final = {PUBLIC: True}
_NO_STORE: Final = {"Cache-Control": "no-store"}


class Login(msgspec.Struct, frozen=True):
    """A token that `just token` created."""

    token: str


class SessionResponse(msgspec.Struct, frozen=True):
    """Whether the API requires a token; the name and the scopes of the one in the request."""

    required: bool
    name: str | None
    scopes: list[str]


@get("/session", opt=_PUBLIC, response_headers=_NO_STORE)
async def session(
    request: Request[Any, Any, Any], tokens: NamedDependency[Tokens | None]
) -> SessionResponse:
    """Return the session of the request."""
    if tokens is None:
        return SessionResponse(required=False, name=None, scopes=sorted(ALL_SCOPES))
    return _session_of(find_token(request, tokens))


@post("/session", opt=_PUBLIC, status_code=HTTPStatus.OK)
async def log_in(
    data: JSONBody[Login], request: Request[Any, Any, Any], tokens: NamedDependency[Tokens | None]
) -> Response[SessionResponse]:
    """Exchange a token for a cookie that scripts can't read and other sites can't send."""
    if tokens is None:
        return Response(SessionResponse(False, None, sorted(ALL_SCOPES)), headers=_NO_STORE)
    token = tokens.find(data.token)
    if token is None:
        raise problem(HTTPStatus.UNAUTHORIZED, "This token is not valid", slug="token-needed")
    cookie = _cookie(request, data.token)
    return Response(_session_of(token), headers=_NO_STORE, cookies=[cookie])


@delete("/session", opt=_PUBLIC)
async def log_out(request: Request[Any, Any, Any]) -> Response[None]:
    """Delete the cookie."""
    cookie = _cookie(request, "")
    cookie.max_age = 0
    return Response(None, cookies=[cookie])


def _session_of(token: Token | None) -> SessionResponse:
    if token is None:
        return SessionResponse(required=True, name=None, scopes=[])
    return SessionResponse(required=True, name=token.name, scopes=sorted(token.scopes))


def _cookie(request: Request[Any, Any, Any], value: str) -> Cookie:
    return Cookie(
        key=COOKIE,
        value=value,
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
