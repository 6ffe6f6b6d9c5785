"""Further properties of librdkafka from a file, except for those that exactness needs."""

from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient

from broker.client_properties import REFUSED, client_properties
from broker.clients import client_config, configured, consumer_config, producer_config
from broker.column_producer import ColumnProducer
from broker.errors import AccessError
from broker.security import security_config
from mobility.settings import Settings

OURS = {"bootstrap.servers", "log_level"}
"""What the configurations set that is no fixed choice: it differs from client to client."""

TUNABLE = {
    "batch.size",
    "client.id",
    "compression.type",
    "fetch.queue.backoff.ms",
    "linger.ms",
    "message.timeout.ms",
    "queue.buffering.max.kbytes",
    "queue.buffering.max.messages",
}
"""What costs time or memory, and no number."""


def with_file(folder: Path, text: str) -> Settings:
    """Return settings with a file of properties."""
    file = folder / "kafka.properties"
    file.write_text(text)
    return Settings(kafka_config=str(file))


def faults(folder: Path, text: str) -> list[str]:
    """Return the faults of a file, without its name."""
    settings = with_file(folder, text)
    with pytest.raises(AccessError) as refused:
        client_properties(settings)
    begin = f"MOBILITY_KAFKA_CONFIG={settings.kafka_config}: "
    assert all(line.startswith(begin) for line in str(refused.value).splitlines())
    return [line.removeprefix(begin) for line in str(refused.value).splitlines()]


def test_properties_are_names_and_values(tmp_path: Path) -> None:
    """Comments and empty lines are ignored; a value may contain any characters."""
    text = "\ufeff# c\n\n client.rack = a=b # c \r\nlinger.ms=7\n  # linger.ms=8\n"
    expected = {"client.rack": "a=b # c", "linger.ms": "7"}
    assert client_properties(with_file(tmp_path, text)) == expected
    assert client_properties(Settings()) == {}


def test_all_faults_are_named(tmp_path: Path) -> None:
    """By line or name, with the reason; a line that may have a secret is not shown."""
    text = "ssl.keystore.password: s3cret\nlinger.ms=soon\nacks=1\nno.such=1\nacks=0\n"
    found = faults(tmp_path, text)
    assert found[:3] == [
        "line 1: expected name=value",
        "line 5: acks is set twice",
        "acks may not be set: a message counts once all in-sync replicas have it",
    ]
    assert found[3].startswith("linger.ms: Invalid value for configuration property")
    assert found[4] == 'no.such: No such configuration property: "no.such"'
    assert len(found) == 5


def test_a_missing_file_is_named() -> None:
    """It existed when the settings were read."""
    with pytest.raises(AccessError, match="the file can't be read"):
        client_properties(Settings(kafka_config="/no/such"))


@pytest.mark.parametrize(
    "name",
    ["error_cb", "dr_msg_cb", "sasl.password", "topic.partitioner", "topic.acks", *REFUSED],
)
def test_properties_that_can_not_be_set(tmp_path: Path, name: str) -> None:
    """Those of the program, those with a setting of their own, and those that exactness needs."""
    (fault,) = faults(tmp_path, f"{name}=1\n")
    assert fault.startswith(f"{name} may not be set: ")


def test_the_properties_of_the_code_can_not_be_set() -> None:
    """A property that the code sets is in the list."""
    settings = Settings()
    configs: list[dict[str, Any]] = [
        client_config(settings, "c"),
        consumer_config(settings, "c", memory_mb=1),
        producer_config(settings, "c", timeout_seconds=1),
    ]
    names = set().union(*configs) - OURS - TUNABLE
    assert names <= REFUSED.keys()


@pytest.mark.parametrize("kind", [AdminClient, Consumer, Producer, "columns"])
def test_every_kind_of_client_accepts_them(tmp_path: Path, kind: Any) -> None:  # noqa: ANN401 - a class
    """Consumers accept properties of producers, and those of the file have priority."""
    settings = with_file(tmp_path, "client.rack=r\nlinger.ms=7\nfetch.min.bytes=9\n")
    config = consumer_config(settings, "c", memory_mb=1) | producer_config(settings, "c")
    taken: dict[str, Any] = {}

    def made(merged: dict[str, Any]) -> object:
        taken.update(merged)
        if kind == "columns":
            return ColumnProducer(merged, print, print)
        return kind(merged)

    assert configured(made, settings, config) is not None
    assert (taken["linger.ms"], taken["client.rack"]) == ("7", "r")
    assert "error_cb" not in config


def test_a_client_that_can_not_be_made_names_the_settings(tmp_path: Path) -> None:
    """The message of librdkafka has its property names."""
    certificate = tmp_path / "c.pem"
    certificate.write_text("none")
    settings = Settings(kafka_security="ssl", kafka_certificate=str(certificate), kafka_key="/k")
    with pytest.raises(AccessError, match="Check MOBILITY_KAFKA_CERTIFICATE"):
        configured(AdminClient, settings, client_config(settings, "c"))


def test_librdkafkas_defaults_are_kept() -> None:
    """Also for empty values."""
    assert security_config(Settings()) == {"security.protocol": "plaintext"}
