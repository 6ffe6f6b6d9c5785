"""One secured broker for all tests of this folder, which run in one worker."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
from confluent_kafka.admin import (  # type: ignore[attr-defined] # its imports are its exports
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialAlteration,
    UserScramCredentialUpsertion,
)

from mobility.settings import Settings, to_environ
from tests.chaos.own_service import run_own_service
from tests.dataflows.conftest import ROOT, Hub, hub
from tests.security.acls import Acl, documented
from tests.security.certificates import Certificate
from tests.security.secured_kafka import PASSWORD, USERS, SecuredKafka
from tests.security.token_endpoint import SCOPE, SECRET, token_endpoint
from tests.waiting import DEADLINE, until

__all__ = ["hub"]

_ANSWER_SECONDS: Final = 30

WAYS: Final = {
    "topics": "PLAIN",
    "producer": "SCRAM-SHA-256",
    "flow": "SCRAM-SHA-512",
    "serving": "PLAIN",
    "audit": "certificate",
    "api": "SCRAM-SHA-512",
    "corrections": "OAUTHBEARER",
    "backfill": "SCRAM-SHA-256",
}
"""How each part logs in: together they do so in every way."""


@dataclass(frozen=True, slots=True)
class Secured:
    """The broker, and the files and the token endpoint that its clients need."""

    broker: SecuredKafka
    token_url: str
    config: Path
    certificates: dict[str, Certificate]

    def login(self, user: str, way: str = "SCRAM-SHA-512") -> dict[str, str]:
        """Return the settings by which a user logs in."""
        secured = {"kafka_ca": str(self.broker.authority.path)}
        if way == "certificate":
            files = self.certificates[user]
            return secured | {
                "kafka": self.broker.address("mtls"),
                "kafka_security": "ssl",
                "kafka_certificate": str(files.certificate),
                "kafka_key": str(files.key),
            }
        secured |= {"kafka": self.broker.address("sasl"), "kafka_security": "sasl_ssl"}
        if way == "OAUTHBEARER":
            return secured | {
                "kafka_mechanism": way,
                "kafka_oauth_client_id": user,
                "kafka_oauth_client_secret": SECRET,
                "kafka_oauth_token_url": self.token_url,
                "kafka_oauth_scope": SCOPE,
                "kafka_config": str(self.config),
            }
        return secured | {"kafka_mechanism": way, "kafka_user": user, "kafka_password": PASSWORD}

    def as_part(self, settings: Settings, part: str, **others: Any) -> Settings:  # noqa: ANN401 - settings
        """Return the settings of a part, which logs in in its way."""
        return msgspec.structs.replace(settings, **self.login(part, WAYS[part]) | others)

    def allow(self, prefix: str, *, but: Acl | None = None) -> None:
        """Allow each part on topics of a prefix what is documented, but for one ACL."""
        admin = AdminClient({"bootstrap.servers": self.broker.url})
        bindings = [acl.binding(prefix) for acl in documented() if acl != but]
        for made in admin.create_acls(bindings).values():
            made.result(_ANSWER_SECONDS)
        # A broker learns of them from its controller.
        anything: Any = None
        every = AclBindingFilter(
            ResourceType.ANY,
            anything,
            ResourcePatternType.ANY,
            anything,
            anything,
            AclOperation.ANY,
            AclPermissionType.ANY,
        )
        until(
            lambda: {str(each) for each in admin.describe_acls(every).result(_ANSWER_SECONDS)},
            "the broker's ACLs",
            lambda known: known >= {str(each) for each in bindings},
        )


def run(settings: Settings, *command: object) -> subprocess.CompletedProcess[str]:
    """Run `python -m <command>`, a module and its arguments, with these settings to its end."""
    others = {k: v for k, v in os.environ.items() if not k.startswith("MOBILITY_")}
    return subprocess.run(
        [sys.executable, "-m", *map(str, command)],
        cwd=ROOT,
        env=others | to_environ(settings) | {"PYTHONPATH": str(ROOT), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )


@pytest.fixture(scope="session")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    """Return the broker, with users and without topics and ACLs."""
    folder = tmp_path_factory.mktemp("secured")
    with run_own_service(SecuredKafka, folder / "state") as broker:
        authority = broker.authority
        endpoint = authority.issue("identity-provider", host="127.0.0.1")
        config = folder / "kafka.properties"
        config.write_text(f"# The CA of the token endpoint.\nhttps.ca.location={authority.path}\n")
        certificates = {user: authority.issue(user, host=user) for user in USERS}
        _make_users(broker)
        with token_endpoint(endpoint) as url:
            yield Secured(broker, url, config, certificates)


def _make_users(broker: SecuredKafka) -> None:
    admin = AdminClient({"bootstrap.servers": broker.url})
    for mechanism in (ScramMechanism.SCRAM_SHA_256, ScramMechanism.SCRAM_SHA_512):
        info = ScramCredentialInfo(mechanism, 4096)
        wanted: list[UserScramCredentialAlteration] = [
            UserScramCredentialUpsertion(user, info, PASSWORD.encode()) for user in USERS
        ]
        for made in admin.alter_user_scram_credentials(wanted).values():
            made.result(_ANSWER_SECONDS)


@pytest.fixture(scope="session")
def services(services: Settings, secured: Secured) -> Settings:
    """Return settings whose Kafka is the super user's listener of the secured broker."""
    return msgspec.structs.replace(services, kafka=secured.broker.url)


@pytest.fixture
def city(hub: Hub, secured: Secured) -> Hub:
    """Return a tenant with both stores, whose parts may do what is documented."""
    hub.settings = msgspec.structs.replace(
        hub.settings, stores=("redis", "postgres"), enriched=("driver",)
    )
    secured.allow(hub.settings.topic_prefix)
    return hub
