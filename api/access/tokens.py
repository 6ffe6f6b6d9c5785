"""Tokens and their scopes. A file has a line for each: its name, its scopes and its hash.

    analyst driver,vehicle_type,h3 9f86d081…

A token is 256 random bits, so that a plain SHA-256 does not reveal it and is quick to compute.
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
from mobility.files import read_text

ALL_SCOPES: Final = frozenset(BY_NAME)

_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_FIELDS: Final = 3


class TokensError(ValueError):
    """Invalid tokens, or an invalid file of tokens; the message contains no token."""


class Token(msgspec.Struct, frozen=True):
    """The name of a token's owner, the entities in its scopes, and its hash."""

    name: str
    scopes: frozenset[str]
    digest: bytes


class Tokens:
    """The valid tokens."""

    def __init__(self, tokens: Iterable[Token]) -> None:
        self._tokens = tuple(tokens)

    def find(self, presented: str) -> Token | None:
        """Return the token with this text; None if it is not valid.

        All hashes are compared completely, so that the time it takes reveals nothing about them.
        """
        digest = _digest(presented)
        found = None
        for token in self._tokens:
            if hmac.compare_digest(token.digest, digest):
                found = token
        return found


def create_token(name: str, scopes: str) -> tuple[str, str]:
    """Return a new token, and its line for the file; raises TokensError."""
    if not re.fullmatch(r"[\w.@-]+", name):
        msg = "The name of a token has letters, digits and . _ @ - only"
        raise TokensError(msg)
    _parse_scopes(scopes)
    token = secrets.token_urlsafe(32)
    return token, f"{name} {scopes} {_digest(token).hex()}"


def read_tokens(path: Path) -> Tokens:
    """Read a file of tokens; raises TokensError with every fault."""
    try:
        lines = read_text(str(path)).splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        msg = f"MOBILITY_API_TOKENS={path} can't be read: {reason}"
        raise TokensError(msg) from error
    tokens, faults = [], []
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            tokens.append(_parse_line(line))
        except TokensError as error:
            faults.append(f"{path}, line {number}: {error}")
    if not tokens and not faults:
        faults.append(f"{path} holds no token: `just token NAME` creates one")
    if faults:
        raise TokensError("\n".join(faults))
    return Tokens(tokens)


def _parse_line(line: str) -> Token:
    fields = line.split()
    if len(fields) != _FIELDS or not _DIGEST.fullmatch(fields[2]):
        msg = "expected a name, scopes and a SHA-256 of 64 hex digits, as `just token` prints them"
        raise TokensError(msg)
    return Token(fields[0], _parse_scopes(fields[1]), bytes.fromhex(fields[2]))


def _parse_scopes(text: str) -> frozenset[str]:
    """Return the entities of a list: `all`, `none` (status and metrics only), or their names."""
    if text in {"all", "none"}:
        return ALL_SCOPES if text == "all" else frozenset()
    names = frozenset(text.split(","))
    if not names <= ALL_SCOPES:
        known = ", ".join(BY_NAME)
        msg = f"scopes are `all`, `none`, or some of {known}, separated by commas"
        raise TokensError(msg)
    return names


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
