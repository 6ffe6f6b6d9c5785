"""Tokens: who may ask, and for which entities. A file has their hashes, one a line, nobody else.

    analyst driver,vehicle_type,h3 9f86d081…

A token is 256 random bits, so a plain SHA-256 of it tells nothing and is quick to compare.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec

from mobility.entities import BY_NAME

EVERYTHING: Final = frozenset(BY_NAME)

_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_FIELDS: Final = 3


class TokensError(ValueError):
    """A file of tokens that can't be used; the message says what is wrong, and shows no token."""


class Token(msgspec.Struct, frozen=True):
    """Who it belongs to, and the names of the entities that it opens."""

    name: str
    scopes: frozenset[str]
    digest: bytes


class Tokens:
    """The tokens that are accepted."""

    def __init__(self, tokens: Iterable[Token]) -> None:
        self._tokens = tuple(tokens)

    def find(self, presented: str) -> Token | None:
        """Return the token that was presented, None where it is none of ours.

        Each is compared whole, so how long it takes tells nothing about them.
        """
        digest = _digest(presented)
        found = None
        for token in self._tokens:
            if hmac.compare_digest(token.digest, digest):
                found = token
        return found


def make_token(name: str, scopes: str) -> tuple[str, str]:
    """Return a new token, and its line for the file; raises TokensError."""
    if not re.fullmatch(r"[\w.@-]+", name):
        msg = "A token's name is one word of letters, digits and . _ @ -"
        raise TokensError(msg)
    _scopes(scopes)
    token = secrets.token_urlsafe(32)
    return token, f"{name} {scopes} {_digest(token).hex()}"


def read_tokens(path: Path) -> Tokens:
    """Read the file; raises TokensError with every fault."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        msg = f"MOBILITY_API_TOKENS={path} can't be read: {reason}"
        raise TokensError(msg) from error
    tokens, faults = [], []
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            tokens.append(_token(line))
        except TokensError as error:
            faults.append(f"{path}, line {number}: {error}")
    if not tokens and not faults:
        faults.append(f"{path} holds no token: `just token NAME` makes one")
    if faults:
        raise TokensError("\n".join(faults))
    return Tokens(tokens)


def _token(line: str) -> Token:
    fields = line.split()
    if len(fields) != _FIELDS or not _DIGEST.fullmatch(fields[2]):
        msg = "expected a name, scopes and a SHA-256 of 64 hex digits, as `just token` prints them"
        raise TokensError(msg)
    return Token(fields[0], _scopes(fields[1]), bytes.fromhex(fields[2]))


def _scopes(text: str) -> frozenset[str]:
    """Return the entities that a list names: `all`, `none` (status and metrics), or names."""
    if text in {"all", "none"}:
        return EVERYTHING if text == "all" else frozenset()
    names = frozenset(text.split(","))
    if not names <= EVERYTHING:
        known = ", ".join(BY_NAME)
        msg = f"scopes are `all`, `none`, or some of {known}, divided by commas"
        raise TokensError(msg)
    return names


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
