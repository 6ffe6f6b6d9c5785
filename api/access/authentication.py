"""Authentication by token, and authorization by its scopes."""

from http import HTTPStatus
from typing import Any, Final

from litestar.connection import ASGIConnection
from litestar.enums import ScopeType
from litestar.middleware import AbstractAuthenticationMiddleware, AuthenticationResult
from litestar.types import ASGIApp

from api.access.tokens import ALL_SCOPES, Token, Tokens
from api.representation.problems import problem

Connection = ASGIConnection[Any, Any, Any, Any]

COOKIE: Final = "mobility_token"
PUBLIC: Final = "public"
"""Key of `opt` of routes that need no token."""

EVERY_ENTITY: Final = "every_entity"
"""Key of `opt` of routes whose answers are about all entities: a token needs all scopes."""

_BEARER: Final = "bearer "


class Authentication(AbstractAuthenticationMiddleware):
    """Accepts a bearer token (RFC 6750), or the session cookie that pages exchange one for."""

    def __init__(self, app: ASGIApp, tokens: Tokens) -> None:
        super().__init__(app, exclude_from_auth_key=PUBLIC, scopes={ScopeType.HTTP})
        self._tokens = tokens

    async def authenticate_request(self, connection: Connection) -> AuthenticationResult:
        """Return the token; raise a problem if there is none or its scopes lack the entity.

        Scopes are checked here and not in a guard: Litestar copies the handler for each guard.
        """
        token = find_token(connection, self._tokens)
        if token is None:
            raise problem(
                HTTPStatus.UNAUTHORIZED,
                "Send a valid token as `Authorization: Bearer …`, or exchange one for a cookie "
                "with POST /session",
                slug="token-needed",
                headers={"WWW-Authenticate": "Bearer"},
            )
        entity = connection.path_params.get("entity_name")
        if entity in ALL_SCOPES and entity not in token.scopes:
            raise problem(
                HTTPStatus.FORBIDDEN,
                f"The scopes of this token do not include {entity}",
                slug="out-of-scope",
            )
        if connection.route_handler.opt.get(EVERY_ENTITY) and token.scopes != ALL_SCOPES:
            raise problem(
                HTTPStatus.FORBIDDEN,
                "The answer is about all entities, and the scopes of this token are not all",
                slug="out-of-scope",
            )
        return AuthenticationResult(user=token.name, auth=token)


def find_token(connection: Connection, tokens: Tokens) -> Token | None:
    """Return the token of a request; with an Authorization header, the cookie does not count."""
    header = connection.headers.get("authorization")
    if header is not None:
        is_bearer = header[: len(_BEARER)].lower() == _BEARER
        return tokens.find(header[len(_BEARER) :].strip()) if is_bearer else None
    cookie = connection.cookies.get(COOKIE)
    return None if cookie is None else tokens.find(cookie)
