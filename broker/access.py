"""Why Kafka refuses a client, in words that say what to do."""

import re
from dataclasses import dataclass
from typing import Final, Literal

from confluent_kafka import KafkaError

from broker.errors import AccessError, BrokerError
from broker.security import principal
from mobility.settings import Settings

Operation = Literal["Read", "Write", "Describe", "DescribeConfigs", "Create"]

TOKEN_FAILURE: Final = "Failed to acquire SASL OAUTHBEARER token"  # noqa: S105 - no secret
"""How librdkafka's words begin where it gets no token, so that no broker is even asked."""

_DENIED: Final = frozenset(
    {
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    }
)


@dataclass(frozen=True, slots=True)
class Access:
    """What a client wants to do, by Kafka's names: an operation on a topic or a group."""

    operation: Operation
    name: str
    resource: Literal["Topic", "Group"] = "Topic"


def is_denied(error: KafkaError) -> bool:
    """Tell whether an ACL is missing."""
    return error.code() in _DENIED


def denial(settings: Settings, access: Access, error: KafkaError) -> str:
    """Return what a client may not do, and which ACL would let it."""
    what = f"{_VERBS[access.operation]} the topic {access.name}"
    where = f"{access.resource} {access.name}"
    if access.resource == "Group":
        what = f"commit offsets to the group {access.name}"
    elif error.code() == KafkaError.CLUSTER_AUTHORIZATION_FAILED and access.operation == "Write":
        # An idempotent producer first asks for a producer id. Kafka gives one to every client that
        # may write to at least one topic.
        what, where = "write to any topic", "its topics"
    # Read and Write include Describe, the first operation that a client without any ACL fails at.
    needed = "Read, Write or Describe" if access.operation == "Describe" else access.operation
    return (
        f"Kafka at {settings.kafka} does not let {principal(settings)} {what}: "
        f"allow {needed} on {where} (ACLs: docs/security.md)."
    )


_VERBS: Final[dict[Operation, str]] = {
    "Read": "read",
    "Write": "write to",
    "Describe": "see",
    "DescribeConfigs": "see the configuration of",
    "Create": "create",
}


def login_failure(settings: Settings, address: str, words: str) -> BrokerError:
    """Return why a login (SASL) failed, from librdkafka's words.

    It is an AccessError unless the next attempt may succeed.
    """
    if TOKEN_FAILURE in words:
        return _token_failure(settings, words.partition(f"{TOKEN_FAILURE}: ")[2])
    words = words.removeprefix("SASL authentication error: ")
    mechanism = f"MOBILITY_KAFKA_MECHANISM={settings.kafka_mechanism}"
    if taken := re.search(r"broker's supported mechanisms: *(\S+)", words):
        why = f"does not take {mechanism}: choose one of {taken[1]}."
    elif "SASL state" in words:
        security = "ssl" if settings.uses_tls else "plaintext"
        why = (
            f"asks for no login (SASL): set MOBILITY_KAFKA_SECURITY={security}, or name another of "
            "its listeners in MOBILITY_KAFKA."
        )
    elif settings.kafka_mechanism == "OAUTHBEARER":
        why = f"refuses the token of {principal(settings)}: {words}."
    else:
        why = (
            f"refuses {principal(settings)}: {words}. Check MOBILITY_KAFKA_USER and "
            f"MOBILITY_KAFKA_PASSWORD, and that the broker knows the user for {mechanism}."
        )
    return AccessError(f"Kafka at {address} {why}")


def _token_failure(settings: Settings, words: str) -> BrokerError:
    # An answer of the endpoint is an object (RFC 6749, 5.2); anything else is its connection's.
    kind, check = (
        (AccessError, "MOBILITY_KAFKA_OAUTH_CLIENT_ID, _CLIENT_SECRET and _SCOPE")
        if words.startswith("{")
        else (BrokerError, "that it answers this machine")
    )
    url = f"{settings.kafka_oauth_token_url} (MOBILITY_KAFKA_OAUTH_TOKEN_URL)"
    return kind(f"No token for Kafka from {url}: {words}. Check {check}.")
