"""The settings of Kafka clients, and which of those by which they log in fit together."""

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

NonEmpty = Annotated[str, Meta(min_length=1)]
Mechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"]

_BROKER: Final = re.compile(r"\A(\[[0-9a-fA-F:]+\]|[\w.-]+):(\d{1,5})\Z")
_MAX_PORT: Final = 65_535
_URL: Final = r"\Ahttps?://\S+\Z"

_GROUP: Final = r"\A(?:|(?=.*\{flow\})(?:[a-zA-Z0-9._-]|\{prefix\}|\{flow\}){1,200})\Z"

_BY_PASSWORD: Final = ("kafka_user", "kafka_password")
_BY_TOKEN: Final = (
    "kafka_oauth_client_id",
    "kafka_oauth_client_secret",
    "kafka_oauth_token_url",
)
_BY_TOKEN_OPTIONAL: Final = ("kafka_oauth_scope",)
_TLS: Final = ("kafka_ca", "kafka_certificate", "kafka_key", "kafka_key_password")

KAFKA_FILES: Final = ("kafka_ca", "kafka_certificate", "kafka_key", "kafka_config")
"""The settings that name a file which every client of Kafka reads."""


class KafkaSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of every Kafka client; docs/security.md explains them."""

    kafka: str = "127.0.0.1:9092"
    kafka_security: Literal["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"] = "plaintext"
    kafka_mechanism: Mechanism | None = None
    kafka_user: NonEmpty | None = None
    kafka_password: NonEmpty | None = None
    kafka_oauth_client_id: NonEmpty | None = None
    kafka_oauth_client_secret: NonEmpty | None = None
    kafka_oauth_token_url: Annotated[str, Meta(pattern=_URL)] | None = None
    kafka_oauth_scope: NonEmpty | None = None

    # PEM files.
    kafka_ca: NonEmpty | None = None
    kafka_certificate: NonEmpty | None = None
    kafka_key: NonEmpty | None = None
    kafka_key_password: NonEmpty | None = None

    # A file of further settings of librdkafka, `name=value` a line.
    kafka_config: NonEmpty | None = None

    # The consumer group that a flow commits its offsets to, or none: `{prefix}` is that of topics.
    consumer_group: Annotated[str, Meta(pattern=_GROUP)] = "{prefix}mobility_{flow}"

    @property
    def uses_tls(self) -> bool:
        """Whether connections to Kafka are encrypted."""
        return self.kafka_security in {"ssl", "sasl_ssl"}

    @property
    def uses_sasl(self) -> bool:
        """Whether clients log in to Kafka with SASL."""
        return self.kafka_security in {"sasl_plaintext", "sasl_ssl"}


def without_kafka(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of a program that has no Kafka client, and so needs none of its secrets.

    Where all programs share their variables, the file of a password need not be there for this one.
    It has no client of the schema registry either, but what the log holds is a setting of its own.
    """
    return _without(_variable("kafka"), without_registry(environ))


def without_registry(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of a program that has no client of the schema registry."""
    return _without(_variable("schema_registry_"), environ)


def _without(prefix: str, environ: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environ.items() if not name.startswith(prefix)}


def contradictions(settings: KafkaSettings) -> Iterator[str]:
    """Yield a line for each setting that is missing beside others, or that has no effect."""
    security = f"{_variable('kafka_security')}={settings.kafka_security}"
    if settings.uses_sasl and settings.kafka_mechanism is None:
        known = ", ".join(Mechanism.__args__)  # type: ignore[attr-defined] # of a Literal
        yield f"{security} needs {_variable('kafka_mechanism')}: {known}"
    if not settings.uses_sasl:
        sasl = ("kafka_mechanism", *_BY_PASSWORD, *_BY_TOKEN, *_BY_TOKEN_OPTIONAL)
        yield from _ineffective(settings, sasl, "MOBILITY_KAFKA_SECURITY=sasl_ssl", security)
    elif settings.kafka_mechanism is not None:
        yield from _login_faults(settings, settings.kafka_mechanism)
    if not settings.uses_tls:
        yield from _ineffective(settings, _TLS, "MOBILITY_KAFKA_SECURITY=ssl or sasl_ssl", security)
    yield from _key_faults(settings)


def invalid_brokers(settings: KafkaSettings) -> Iterator[str]:
    """Yield a line where the brokers are no hosts with ports."""
    matches = [_BROKER.match(broker.strip()) for broker in settings.kafka.split(",")]
    if not all(match and 0 < int(match[2]) <= _MAX_PORT for match in matches):
        yield f"MOBILITY_KAFKA={settings.kafka}: expected host:port[,host:port]"


def _login_faults(settings: KafkaSettings, mechanism: Mechanism) -> Iterator[str]:
    is_token = mechanism == "OAUTHBEARER"
    needed = _BY_TOKEN if is_token else _BY_PASSWORD
    others = _BY_PASSWORD if is_token else (*_BY_TOKEN, *_BY_TOKEN_OPTIONAL)
    chosen = f"{_variable('kafka_mechanism')}={mechanism}"
    missing = [_variable(name) for name in needed if getattr(settings, name) is None]
    if missing:
        yield f"{chosen} needs {', '.join(missing)}"
    remedy = "another mechanism" if is_token else "MOBILITY_KAFKA_MECHANISM=OAUTHBEARER"
    yield from _ineffective(settings, others, remedy, chosen)


def _key_faults(settings: KafkaSettings) -> Iterator[str]:
    given = {name for name in _TLS if getattr(settings, name) is not None}
    for name, needed in (
        ("kafka_certificate", "kafka_key"),
        ("kafka_key", "kafka_certificate"),
        ("kafka_key_password", "kafka_key"),
    ):
        if name in given and needed not in given:
            yield f"{_variable(name)} needs {_variable(needed)}"


def _ineffective(
    settings: KafkaSettings, names: tuple[str, ...], remedy: str, chosen: str
) -> Iterator[str]:
    for name in names:
        if getattr(settings, name) is not None:
            yield f"{_variable(name)} has no effect with {chosen}: it needs {remedy}"


def _variable(name: str) -> str:
    return f"MOBILITY_{name.upper()}"
