"""Certificates that a test makes for itself: a CA, a broker's, clients'."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)


@dataclass(frozen=True, slots=True)
class Certificate:
    """Two PEM files: a certificate, and its private key (PKCS #8, as Kafka wants it)."""

    certificate: Path
    key: Path

    def keystore(self) -> Path:
        """Return a file of both, which is what Kafka calls a PEM keystore."""
        path = self.certificate.with_suffix(".keystore.pem")
        path.write_text(self.key.read_text() + self.certificate.read_text())
        return path


class Authority:
    """A CA whose files are in a folder; `path` is its own certificate."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True)
        self._ca = trustme.CA()
        self.path = folder / "ca.pem"
        self._ca.cert_pem.write_to_path(self.path)

    def issue(
        self, name: str, *, host: str, expired: bool = False, key_password: str | None = None
    ) -> Certificate:
        """Make a certificate with the common name `name` for a host."""
        now = datetime.now(UTC)
        issued = self._ca.issue_cert(
            host,
            common_name=name,
            not_before=now - timedelta(days=2),
            not_after=now + timedelta(days=-1 if expired else 1),
        )
        key = load_pem_private_key(issued.private_key_pem.bytes(), None)
        protection = (
            NoEncryption()
            if key_password is None
            else BestAvailableEncryption(key_password.encode())
        )
        files = Certificate(self._folder / f"{name}.pem", self._folder / f"{name}.key")
        files.certificate.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        files.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, protection))
        return files
