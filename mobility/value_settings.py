"""What a message of the log holds, and where the schemas of its messages are: the settings."""

from collections.abc import Iterator
from typing import Annotated, Final, Literal

from msgspec import Meta

from mobility.kafka_settings import KafkaSettings, NonEmpty

Value = Literal["json", "debezium", "connect-json", "avro"]

REGISTRY_FILES: Final = (
    "schema_registry_ca",
    "schema_registry_certificate",
    "schema_registry_key",
)
"""The settings that name a file which a client of the schema registry reads."""

_LOGIN: Final = ("schema_registry_user", "schema_registry_password")
_TLS: Final = (*REGISTRY_FILES, "schema_registry_key_password")
_URL: Final = r"\Ahttps?://\S+\Z"
_NEEDED_BY: Final = (
    ("schema_registry_user", "schema_registry_password"),
    ("schema_registry_password", "schema_registry_user"),
    ("schema_registry_certificate", "schema_registry_key"),
    ("schema_registry_key", "schema_registry_certificate"),
    ("schema_registry_key_password", "schema_registry_key"),
)


class ValueSettings(KafkaSettings, frozen=True, kw_only=True):
    """How the trip is found in a message of Kafka; docs/formats.md explains it."""

    value: Value = "json"

    # For avro. PEM files, as those of Kafka.
    schema_registry: Annotated[str, Meta(pattern=_URL)] | None = None
    schema_registry_user: NonEmpty | None = None
    schema_registry_password: NonEmpty | None = None
    schema_registry_ca: NonEmpty | None = None
    schema_registry_certificate: NonEmpty | None = None
    schema_registry_key: NonEmpty | None = None
    schema_registry_key_password: NonEmpty | None = None


def registry_faults(settings: ValueSettings) -> Iterator[str]:
    """Yield a line for each setting of the registry that is missing, or that has no effect."""
    url = settings.schema_registry
    given = [name for name in (*_LOGIN, *_TLS) if getattr(settings, name) is not None]
    if settings.value != "avro":
        for name in ["schema_registry"] * (url is not None) + given:
            yield f"{_variable(name)} has no effect: it needs MOBILITY_VALUE=avro"
        return
    if url is None:
        yield "MOBILITY_VALUE=avro needs MOBILITY_SCHEMA_REGISTRY, the URL of the registry"
        return
    if "@" in url:
        both = " and ".join(_variable(name) for name in _LOGIN)
        yield f"MOBILITY_SCHEMA_REGISTRY has a user or a password: set {both} instead"
    for name, needed in _NEEDED_BY:
        if name in given and needed not in given:
            yield f"{_variable(name)} needs {_variable(needed)}"
    for name in _TLS:
        if name in given and not url.startswith("https://"):
            yield f"{_variable(name)} has no effect: MOBILITY_SCHEMA_REGISTRY is not https://"


def unwritable(settings: ValueSettings, writer: str) -> Iterator[str]:
    """Yield a line where a program that writes trips as plain JSON would fill the log with others.

    `writer` says for people what the program is.
    """
    if settings.value != "json":
        yield (
            f"MOBILITY_VALUE={settings.value}: {writer} writes plain JSON, which a flow with this "
            "setting does not read. Unset it, and set MOBILITY_TOPIC_PREFIX to write to topics of "
            "their own"
        )


def _variable(name: str) -> str:
    return f"MOBILITY_{name.upper()}"
