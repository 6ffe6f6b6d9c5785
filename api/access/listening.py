"""Where the API may listen: on this machine, or anywhere with tokens."""

import socket
from ipaddress import ip_address
from pathlib import Path

from api.access.tokens import Tokens, TokensError, read_tokens
from mobility.settings import Settings


def tokens_of(settings: Settings) -> Tokens | None:
    """Return the tokens of the settings, None where everybody on this machine may ask.

    Raises TokensError where they can't be read, or are missing for an address that others reach.
    """
    if settings.api_tokens is not None:
        return read_tokens(Path(settings.api_tokens))
    if not _is_loopback(settings.api_host):
        msg = (
            f"MOBILITY_API_HOST={settings.api_host} is reached from other machines, and without "
            "tokens everybody there could read everything.\n"
            "Make one (`just token NAME >> FILE`) and set MOBILITY_API_TOKENS=FILE, or listen on "
            "127.0.0.1."
        )
        raise TokensError(msg)
    return None


def _is_loopback(host: str) -> bool:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return False
    addresses = [str(address[0]).partition("%")[0] for *_, address in found]
    return bool(addresses) and all(ip_address(address).is_loopback for address in addresses)
