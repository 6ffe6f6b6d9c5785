"""Where the API may listen: on a loopback address, or on any address with tokens."""

import socket
from ipaddress import ip_address
from pathlib import Path

from api.access.tokens import Tokens, TokensError, read_tokens
from mobility.settings import Settings


def load_tokens(settings: Settings) -> Tokens | None:
    """Return the tokens of the settings; None if the API needs none.

    Raises TokensError if the file can't be read, or if other machines can reach the address and no
    tokens are set.
    """
    if settings.api_tokens is not None:
        return read_tokens(Path(settings.api_tokens))
    if not _is_loopback(settings.api_host):
        msg = (
            f"Other machines can reach MOBILITY_API_HOST={settings.api_host}, and without tokens "
            "everybody there could read everything.\n"
            "Create a token (`just token NAME >> FILE`) and set MOBILITY_API_TOKENS=FILE, or use "
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
