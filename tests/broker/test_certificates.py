"""Until when certificates are valid."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from broker.certificates import first_certificate, valid_until


@pytest.mark.parametrize(
    ("key_type", "end"),
    [
        (trustme.KeyType.ECDSA, datetime(2029, 2, 28, 23, 59, 59, tzinfo=UTC)),
        # From 2050 on years have four digits (RFC 5280, 4.1.2.5).
        (trustme.KeyType.RSA, datetime(2051, 1, 2, 3, 4, 5, tzinfo=UTC)),
    ],
)
def test_the_end_of_validity(tmp_path: Path, key_type: trustme.KeyType, end: datetime) -> None:
    """It is read from the first certificate of a file, of any length."""
    authority = trustme.CA(key_type=key_type)
    issued = authority.issue_cert(
        *(f"host-{number}.example" for number in range(40)),
        not_before=end - timedelta(days=10),
        not_after=end,
        key_type=key_type,
    )
    path = tmp_path / "chain.pem"
    for blob in (*issued.cert_chain_pems, authority.cert_pem):
        blob.write_to_path(path, append=True)
    assert valid_until(first_certificate(str(path))) == end


@pytest.mark.parametrize("der", [b"", b"\x30", b"\x30\x82\x01", b"no certificate"])
def test_other_bytes_are_not_a_certificate(der: bytes) -> None:
    """The result is None, without an error."""
    with pytest.raises(ValueError, match=r"."):
        valid_until(der)


def test_a_file_without_a_certificate(tmp_path: Path) -> None:
    """As above."""
    path = tmp_path / "empty.pem"
    path.write_text("none")
    with pytest.raises(ValueError, match="substring not found"):
        first_certificate(str(path))
