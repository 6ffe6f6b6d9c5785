"""Until when a certificate is valid: the one field of X.509 that error messages need."""

import ssl
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

_CONTEXT_0: Final = 0xA0
"""Tag of the version, which a certificate of version 1 lacks."""

_UTC_TIME: Final = 0x17
_FIELDS_BEFORE_VALIDITY: Final = 3


def valid_until(der: bytes) -> datetime:
    """Return the end of a certificate's validity (RFC 5280, `notAfter`).

    Raises ValueError for bytes that are no certificate in DER.
    """
    try:
        certificate = _element(der, 0)
        at = _element(der, certificate[1])[1]  # the first field of what is signed
        if der[at] == _CONTEXT_0:
            at = _element(der, at)[2]
        for _ in range(_FIELDS_BEFORE_VALIDITY):  # serial number, algorithm, issuer
            at = _element(der, at)[2]
        not_before = _element(der, _element(der, at)[1])
        tag, start, end = _element(der, not_before[2])
        form = "%y%m%d%H%M%SZ" if tag == _UTC_TIME else "%Y%m%d%H%M%SZ"
        return datetime.strptime(der[start:end].decode(), form).replace(tzinfo=UTC)
    except IndexError as error:
        msg = "no certificate in DER"
        raise ValueError(msg) from error


def first_certificate(path: str) -> bytes:
    """Return the first certificate of a PEM file in DER. Raises OSError, ValueError."""
    text = Path(path).read_text("ascii")
    begin, end = ssl.PEM_HEADER, ssl.PEM_FOOTER
    start = text.index(begin)
    return ssl.PEM_cert_to_DER_cert(text[start : text.index(end, start) + len(end)] + "\n")


def _element(der: bytes, at: int) -> tuple[int, int, int]:
    """Return tag, start and end of the content of the element at a place (X.690)."""
    length, start = der[at + 1], at + 2
    if length & 0x80:
        size = length & 0x7F
        length, start = int.from_bytes(der[start : start + size]), start + size
    return der[at], start, start + length
