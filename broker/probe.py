"""Opens a connection as the settings say, to find what keeps every client out.

librdkafka reports that a certificate could not be verified, but not why, and of a listener that
hangs up only that no broker is left. The first bytes of the protocols tell more.
"""

import socket
import ssl
import struct
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final

from broker.certificates import first_certificate, valid_until
from broker.client_properties import client_properties
from mobility.settings import Settings

_SECONDS: Final = 3.0
_API_VERSIONS: Final = 18
_METADATA: Final = 3
_HEADER_BYTES: Final = 8

# OpenSSL's X509_V_ERR_*.
_NOT_YET_VALID: Final = 9
_EXPIRED: Final = 10
_OTHER_HOST: Final = (62, 64)  # a name, an address
_UNKNOWN_CA: Final = (2, 18, 19, 20, 21)


def obstacle(settings: Settings, address: str) -> str | None:
    """Return what in settings or certificates keeps clients from the broker at `host:port`.

    None where nothing is found, as where nothing listens.
    """
    if any(name.startswith("ssl.") for name in client_properties(settings)):
        return None  # this module knows only the settings that have a variable of their own
    try:
        return _with_tls(settings, address) if settings.uses_tls else _plain(settings, address)
    except OSError:
        return None


def _plain(settings: Settings, address: str) -> str | None:
    with _connected(address) as stream:
        if _answers(stream, _API_VERSIONS, 0):
            return _login_needed(settings, address, stream)
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with _connected(address) as stream, context.wrap_socket(stream):
        secure = "sasl_ssl" if settings.uses_sasl else "ssl"
        return (
            f"Kafka at {address} speaks TLS: set MOBILITY_KAFKA_SECURITY={secure}, or name the "
            "port of a listener without TLS in MOBILITY_KAFKA."
        )


def _with_tls(settings: Settings, address: str) -> str | None:
    context = ssl.create_default_context(cafile=settings.kafka_ca)
    if settings.kafka_certificate is not None:
        context.load_cert_chain(
            settings.kafka_certificate, settings.kafka_key, settings.kafka_key_password or ""
        )
    host = address.rpartition(":")[0].strip("[]")
    try:
        with (
            _connected(address) as stream,
            context.wrap_socket(stream, server_hostname=host) as secured,
        ):
            # In TLS 1.3 a handshake succeeds before the server has checked the certificate of the
            # client: only its first answer shows that the certificate is accepted.
            if _answers(secured, _API_VERSIONS, 0):
                return _login_needed(settings, address, secured)
    except ssl.SSLCertVerificationError as error:
        return _invalid_certificate(settings, address, error)
    except OSError as error:
        if _is_about_certificate(error):
            return refused_certificate(settings, address)
    return _without_tls(settings, address)


def _without_tls(settings: Settings, address: str) -> str | None:
    with _connected(address) as stream:
        if not _answers(stream, _API_VERSIONS, 0):
            return None
    plain = "sasl_plaintext" if settings.uses_sasl else "plaintext"
    return (
        f"Kafka at {address} speaks no TLS: name the port of a listener with TLS in "
        f"MOBILITY_KAFKA, or set MOBILITY_KAFKA_SECURITY={plain}."
    )


def _login_needed(settings: Settings, address: str, stream: socket.socket) -> str | None:
    """Return that a login is needed where a request without one ends the connection."""
    # No topics, and none may be created.
    if settings.uses_sasl or _answers(stream, _METADATA, 4, struct.pack(">i?", 0, False)):
        return None
    security = "sasl_ssl" if settings.uses_tls else "sasl_plaintext"
    return (
        f"Kafka at {address} asks for a login: set MOBILITY_KAFKA_SECURITY={security}, "
        "MOBILITY_KAFKA_MECHANISM and what that needs."
    )


def _invalid_certificate(
    settings: Settings, address: str, error: ssl.SSLCertVerificationError
) -> str:
    code = error.verify_code
    if code in {_EXPIRED, _NOT_YET_VALID}:
        when = "has expired" if code == _EXPIRED else "is not valid yet"
        return f"The certificate of Kafka at {address} {when}{_end_of_validity(address)}."
    if code in _OTHER_HOST:
        return (
            f"The certificate of Kafka at {address} is for another host ({error.verify_message}): "
            "MOBILITY_KAFKA must name the broker as its certificate does."
        )
    if code in _UNKNOWN_CA:
        known = (
            "this system knows: name the file of that CA in MOBILITY_KAFKA_CA"
            if settings.kafka_ca is None
            else f"is in {settings.kafka_ca} (MOBILITY_KAFKA_CA)"
        )
        return f"The certificate of Kafka at {address} is signed by no CA that {known}."
    return f"The certificate of Kafka at {address} is not valid: {error.verify_message}."


def _end_of_validity(address: str) -> str:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        suppress(OSError, ValueError),
        _connected(address) as stream,
        context.wrap_socket(stream) as secured,
    ):
        certificate = secured.getpeercert(binary_form=True)
        return f" (valid until {valid_until(certificate or b''):%Y-%m-%d %H:%M} UTC)"
    return ""


def refused_certificate(settings: Settings, address: str) -> str:
    """Return what is wrong where a broker refuses the client's certificate, or gets none."""
    path = settings.kafka_certificate
    if path is None:
        return (
            f"Kafka at {address} asks for a client certificate: set MOBILITY_KAFKA_CERTIFICATE "
            "and MOBILITY_KAFKA_KEY."
        )
    named = f"The client certificate {path} (MOBILITY_KAFKA_CERTIFICATE)"
    with suppress(OSError, ValueError):
        end = valid_until(first_certificate(path))
        if end < datetime.now(UTC):
            return f"{named} has expired (valid until {end:%Y-%m-%d %H:%M} UTC)."
    return f"{named} is refused by Kafka at {address}: no CA that it trusts has signed it."


def _is_about_certificate(error: OSError) -> bool:
    reason = error.reason or "" if isinstance(error, ssl.SSLError) else ""
    return "ALERT" in reason and ("CERT" in reason or "UNKNOWN_CA" in reason)


def _connected(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    return socket.create_connection((host.strip("[]"), int(port)), _SECONDS)


def _answers(stream: socket.socket, api: int, version: int, body: bytes = b"") -> bool:
    """Send a request with no client id; tell whether it is answered, rather than hung up on.

    Raises OSError for anything else, as for an alert of TLS.
    """
    request = struct.pack(">hhih", api, version, api, -1) + body
    head = b""
    try:
        stream.sendall(struct.pack(">i", len(request)) + request)
        while len(head) < _HEADER_BYTES and (received := stream.recv(4096)):
            head += received
    except ConnectionError:
        return False
    if len(head) < _HEADER_BYTES:
        return False
    return bool(struct.unpack(">i", head[4:_HEADER_BYTES]) == (api,))
