"""What a message of the log holds: the setting."""

from collections.abc import Iterator
from typing import Literal

from mobility.kafka_settings import KafkaSettings

Value = Literal["json", "debezium", "connect-json"]


class ValueSettings(KafkaSettings, frozen=True, kw_only=True):
    """How the trip is found in a message of Kafka; docs/formats.md explains it."""

    value: Value = "json"


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
