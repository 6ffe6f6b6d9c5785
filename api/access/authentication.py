"""Whose request it is, by its token, and whether that opens the entity asked for."""

from http import HTTPStatus
from typing import Any, Final

from litestar.connection import ASGIConnection
from litestar.enums import ScopeType
from litestar.middleware import AbstractAuthenticationMiddleware, AuthenticationResult
from litestar.types import ASGIApp

from api.access.tokens import EVERYTHING, Token, Tokens
from api.representation.problems import problem

Connection = ASGIConnection[Any, Any, Any, Any]

COOKIE: Final = "mobility_token"
OPEN: Final = "open"
"""The key of a route's `opt` that lets everybody in."""

_BEARER: Final = "bearer "


class Authentication(AbstractAuthenticationMiddleware):
    """Takes a bearer token (RFC 6750), or the cookie that pages have exchanged one for."""

    def __init__(self, app: ASGIApp, tokens: Tokens) -> None:
        super().__init__(app, exclude_from_auth_key=OPEN, scopes={ScopeType.HTTP})
        self._tokens = tokens

    async def authenticate_request(self, connection: Connection) -> AuthenticationResult:
        """Return the token; without one of ours, or one that opens the entity, there is a refusal.

        Scopes are looked at here and not in a guard, for each of which Litestar copies the handler.
        """
        token = token_of(connection, self._tokens)
        if token is None:
            raise problem(
                HTTPStatus.UNAUTHORIZED,
                "A token is needed: as `Authorization: Bearer …`, or by POST /session as a cookie",
                slug="token-needed",
                headers={"WWW-Authenticate": "Bearer"},
            )
        entity = connection.path_params.get("entity_name")
        if entity in EVERYTHING and entity not in token.scopes:
            raise problem(
                HTTPStatus.FORBIDDEN, f"This token does not open {entity}", slug="out-of-scope"
            )
        return AuthenticationResult(user=token.name, auth=token)


def token_of(connection: Connection, tokens: Tokens) -> Token | None:
    """Return the token that a request carries; a header that is given counts alone."""
    header = connection.headers.get("authorization")
    if header is not None:
        is_bearer = header[: len(_BEARER)].lower() == _BEARER
        return tokens.find(header[len(_BEARER) :].strip()) if is_bearer else None
    cookie = connection.cookies.get(COOKIE)
    return None if cookie is None else tokens.find(cookie)
