"""What is wrong with the URL of a store, so that its client could not read it.

The clients quote what they do not understand, which may be a part of the password: nothing here
shows any of it. Syntax: RFC 3986; libpq, 34.1.1.2; redis-py, `from_url`.
"""

import re
from typing import Final

_SCHEMES: Final = {
    "redis": ("redis://", "rediss://", "unix://"),
    "postgres": ("postgresql://", "postgres://"),
}

URL_SETTINGS: Final = tuple(_SCHEMES)
"""The settings that are the URL of a store."""

_PARTS: Final = re.compile(
    r"(?s)[a-z]+://(?P<authority>[^/?#]*)(?P<path>[^?#]*)(?P<query>[^#]*)(?P<fragment>.*)"
)
_HOST: Final = re.compile(r"(?:\[[^\[\]]*\]|[^:\[\]]*)(?::(?P<port>[0-9]{1,5}))?")
_DATABASE: Final = re.compile(r"/?[0-9]*")
_ENCODED: Final = re.compile(r"(?:[^%\s]|%[0-9a-fA-F]{2})*")
_MAX_PORT: Final = 65_535


_OBJECT_STORES: Final = ("s3://", "gs://", "az://", "abfss://")
_BUCKET: Final = re.compile(r"[a-z0-9]+://(?P<bucket>[^/?#]+)(?:/[^?#]*)?")


def location_fault(location: str) -> str | None:
    """Return what is wrong with a folder, or the URL of one in an object store."""
    if not location or "\0" in location:
        return "expected a folder, or a URL of an object store"
    if "://" not in location:
        return None
    match = _BUCKET.fullmatch(location)
    if match is None or not location.startswith(_OBJECT_STORES):
        return f"expected a folder, or a URL that starts with {', '.join(_OBJECT_STORES)}"
    if ":" in match["bucket"]:
        return "no login goes into the URL: the client takes it from the environment (AWS_*, ...)"
    return None


def url_fault(field: str, url: str) -> str | None:
    """Return what is wrong with the URL in the setting of a store, None where nothing is."""
    schemes = _SCHEMES[field]
    parts = _PARTS.fullmatch(url)
    if parts is None or not url.startswith(schemes):
        return f"expected a URL that starts with {' or '.join(schemes)}"
    authority = parts["authority"]
    is_behind = "@" in parts["path"] or "@" in parts["fragment"]
    if is_behind and ":" in authority and "@" not in authority:
        return "percent-encode / and # in the password (as %2F and %23)"
    if field == "redis":
        return None if url.startswith("unix://") else _redis_fault(authority, parts["path"])
    if not _ENCODED.fullmatch(url):
        return "percent-encode % and spaces (as %25 and %20)"
    return None


def names_several_hosts(url: str) -> bool:
    """Return whether a URL of Redis names several hosts, which are nodes of a cluster."""
    parts = _PARTS.fullmatch(url)
    return parts is not None and "," in parts["authority"].rpartition("@")[2]


def _redis_fault(authority: str, path: str) -> str | None:
    login, _, names = authority.rpartition("@")
    hosts = names.split(",")
    if "[" in login or "]" in login or not all(map(_is_host, hosts)):
        return (
            "expected redis://[[user]:password@]host[:port][,host[:port]][/number]; percent-encode "
            "?, [ and ] in the password (as %3F, %5B and %5D)"
        )
    if not _DATABASE.fullmatch(path):
        return "the database is a number, as in redis://host:6379/0"
    if len(hosts) > 1 and ("" in hosts or path.strip("/0")):
        return "several hosts are nodes of a cluster, which has the database 0 only"
    return None


def _is_host(text: str) -> bool:
    match = _HOST.fullmatch(text)
    return match is not None and int(match["port"] or 0) <= _MAX_PORT
