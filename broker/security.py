"""How a client of Kafka is encrypted and logs in, by librdkafka's names."""

import ssl
from typing import Final

from mobility.settings import Settings

_PROPERTIES: Final = {
    "ssl.ca.location": "kafka_ca",
    "ssl.certificate.location": "kafka_certificate",
    "ssl.key.location": "kafka_key",
    "ssl.key.password": "kafka_key_password",
    "sasl.mechanism": "kafka_mechanism",
    "sasl.username": "kafka_user",
    "sasl.password": "kafka_password",
    "sasl.oauthbearer.client.id": "kafka_oauth_client_id",
    "sasl.oauthbearer.client.secret": "kafka_oauth_client_secret",
    "sasl.oauthbearer.token.endpoint.url": "kafka_oauth_token_url",
    "sasl.oauthbearer.scope": "kafka_oauth_scope",
}
"""The setting of ours behind each property."""


def security_config(settings: Settings) -> dict[str, str]:
    """Return the properties for encryption and login; what is not set is left out."""
    given = {name: getattr(settings, field) for name, field in _PROPERTIES.items()}
    config = {name: str(value) for name, value in given.items() if value is not None}
    if settings.kafka_mechanism == "OAUTHBEARER":
        # librdkafka asks for tokens in a thread of its own (RFC 6749, client credentials).
        config["sasl.oauthbearer.method"] = "oidc"
        # It looks for the CAs of token endpoints where only some systems have them.
        if (trusted := ssl.get_default_verify_paths().cafile) is not None:
            config["https.ca.location"] = trusted
    return config | {"security.protocol": settings.kafka_security}


def owner_of(name: str) -> str | None:
    """Return the variable that a property is set by; None where it is none of these."""
    field = _PROPERTIES.get(name)
    return None if field is None else f"MOBILITY_{field.upper()}"


def responsible_variables(words: str) -> list[str]:
    """Return the variables that set the properties which librdkafka's words name."""
    fields = [field for name, field in _PROPERTIES.items() if name in words]
    if "kafka_key" in fields:
        fields.append("kafka_key_password")
    return [f"MOBILITY_{field.upper()}" for field in fields]


def principal(settings: Settings) -> str:
    """Return who a client of these settings is to Kafka, for messages."""
    if settings.kafka_user is not None:
        return f"the user {settings.kafka_user}"
    if settings.kafka_oauth_client_id is not None:
        return f"the client {settings.kafka_oauth_client_id}"
    if settings.kafka_certificate is not None:
        return f"the owner of {settings.kafka_certificate}"
    return "a client without login"
