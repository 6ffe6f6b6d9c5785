"""A Kafka broker that asks who its clients are, and lets them do what ACLs allow.

Its listeners differ in how a client has to introduce itself. `PLAINTEXT` is the super user's: the
tests make users, ACLs and topics by it.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Final

from stack.kafka import Kafka
from stack.ports import HOST
from tests.security.acls import PARTS
from tests.security.certificates import Authority, Certificate

PASSWORD: Final = 'it\'s a long; "secret" #1'  # noqa: S105 - for a test
"""The password of every user."""

USERS: Final = (*PARTS, "nobody")
"""A user a part, and one without any ACL."""

MECHANISMS: Final = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER")
PROTOCOLS: Final = {
    "sasl": "SASL_SSL",
    "mtls": "SSL",
    "expired": "SASL_SSL",
    "elsewhere": "SASL_SSL",
    "unencrypted": "SASL_PLAINTEXT",
    "scram-only": "SASL_SSL",
}
"""The listeners beside the super user's, and their protocols."""

_JAAS: Final = "org.apache.kafka.common.security"


class SecuredKafka(Kafka):
    """A cluster of one with TLS, SASL and an authorizer."""

    ports: ClassVar = {**Kafka.ports, **dict.fromkeys(PROTOCOLS, 0)}
    heap = ("-Xms64m", "-Xmx256m")

    def __init__(self, folder: Path, ports: Mapping[str, int]) -> None:
        super().__init__(folder, ports)
        self._ports = ports
        self.authority = Authority(folder / "certificates")
        self.other_authority = Authority(folder / "other")

    def address(self, listener: str) -> str:
        """Return host and port of a listener."""
        return f"{HOST}:{self._ports[listener]}"

    def properties(self) -> dict[str, str]:
        """Return how the broker is configured."""
        properties = super().properties()
        for listener, protocol in PROTOCOLS.items():
            name = _listener_name(listener)
            properties["listeners"] += f",{name}://{self.address(listener)}"
            properties["advertised.listeners"] += f",{name}://{self.address(listener)}"
            properties["listener.security.protocol.map"] += f",{name}:{protocol}"
        properties |= {
            "inter.broker.listener.name": "PLAINTEXT",
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:ANONYMOUS",
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(self.authority.path),
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": _keystore(self.authority.issue("broker", host=HOST)),
            "listener.name.mtls.ssl.client.auth": "required",
            "listener.name.mtls.ssl.principal.mapping.rules": "RULE:^.*CN=([^,]+).*$/$1/",
        }
        expired = self.authority.issue("expired", host=HOST, expired=True)
        elsewhere = self.authority.issue("elsewhere", host="elsewhere.example")
        properties |= {
            "listener.name.expired.ssl.keystore.location": _keystore(expired),
            "listener.name.elsewhere.ssl.keystore.location": _keystore(elsewhere),
        }
        for listener, protocol in PROTOCOLS.items():
            if protocol.startswith("SASL"):
                properties |= _sasl(listener)
        return properties


def _listener_name(listener: str) -> str:
    return listener.upper().replace("-", "_")


def _keystore(certificate: Certificate) -> str:
    return str(certificate.keystore())


def _sasl(listener: str) -> dict[str, str]:
    """Return what a listener needs to take every mechanism."""
    prefix = f"listener.name.{_listener_name(listener).lower()}"
    mechanisms = MECHANISMS[1:3] if listener == "scram-only" else MECHANISMS
    password = PASSWORD.replace("\\", r"\\").replace('"', r"\"")
    users = " ".join(f'user_{user}="{password}"' for user in USERS)
    scram = f"{_JAAS}.scram.ScramLoginModule required;"
    jaas = {
        "PLAIN": f"{_JAAS}.plain.PlainLoginModule required {users};",
        "SCRAM-SHA-256": scram,
        "SCRAM-SHA-512": scram,
        "OAUTHBEARER": f"{_JAAS}.oauthbearer.OAuthBearerLoginModule required "
        'unsecuredLoginStringClaim_sub="broker";',
    }
    return {f"{prefix}.sasl.enabled.mechanisms": ",".join(mechanisms)} | {
        f"{prefix}.{mechanism.lower()}.sasl.jaas.config": jaas[mechanism].replace("\\", "\\\\")
        for mechanism in mechanisms
    }
