"""The errors of connections, without a broker."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import pytest
from confluent_kafka import KafkaError

from broker.connection import ConnectionErrors
from broker.errors import AccessError
from broker.probe import obstacle
from mobility.settings import Settings

DOWN = KafkaError(KafkaError._ALL_BROKERS_DOWN, "1/1 brokers are down")
SASL = Settings(
    kafka="127.0.0.1:1",
    kafka_security="sasl_plaintext",
    kafka_mechanism="PLAIN",
    kafka_user="u",
    kafka_password="p",  # noqa: S106 - for a test
)


def refused(address: str) -> KafkaError:
    """Return the error of a refused login."""
    text = f"sasl_plaintext://{address}/bootstrap: SASL authentication error: No (after 3ms in X)"
    return KafkaError(KafkaError._AUTHENTICATION, text)


def test_a_refusal_counts_once_no_broker_is_left() -> None:
    """Another broker may accept the client; the loss of all brokers is probed once."""
    errors = ConnectionErrors(SASL)
    errors.note(refused("127.0.0.1:1"))
    assert errors.refusal() is None
    errors.note(DOWN)
    refusal = errors.refusal()
    assert isinstance(refusal, AccessError)
    assert str(refusal).startswith("Kafka at 127.0.0.1:1 refuses the user u: No. Check ")
    assert errors.refusal() is None


def test_an_old_refusal_is_ignored() -> None:
    """A refusal of an hour ago is not the cause of an error now."""
    now = [0.0]
    errors = ConnectionErrors(SASL, lambda: now[0])
    errors.note(refused("127.0.0.1:1"))
    assert errors.last_words() == " (127.0.0.1:1: SASL authentication error: No)"
    now[0] = 3_600.0
    errors.note(DOWN)
    assert errors.refusal() is None
    assert errors.last_words() == ""


def test_a_closed_port_is_not_a_refusal() -> None:
    """A broker that is down may be started again."""
    errors = ConnectionErrors(Settings(kafka="127.0.0.1:1"))
    words = (
        "127.0.0.1:1/bootstrap: Connect to ipv4#127.0.0.1:1 failed: refused (after 0ms in state)"
    )
    errors.note(KafkaError(KafkaError._TRANSPORT, words))
    errors.note(DOWN)
    assert errors.refusal() is None
    assert "Connect to ipv4#127.0.0.1:1 failed: refused" in errors.last_words()


def test_an_unknown_error_of_tls_is_shown_as_it_is() -> None:
    """The message of librdkafka is shown."""
    errors = ConnectionErrors(Settings(kafka="127.0.0.1:1", kafka_security="ssl"))
    words = "ssl://127.0.0.1:1/bootstrap: SSL handshake failed: no cipher (after 3ms in state S)"
    errors.note(KafkaError(KafkaError._SSL, words))
    errors.note(DOWN)
    assert str(errors.refusal()) == (
        "No secured connection to Kafka at 127.0.0.1:1: SSL handshake failed: no cipher."
    )


@contextmanager
def listener(answer: bytes) -> Iterator[str]:
    """Answer each connection with these bytes, then close it; yield the address."""

    def serve() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                connection.recv(4096)
                connection.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = Thread(target=serve)
        thread.start()
        try:
            yield f"127.0.0.1:{server.getsockname()[1]}"
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n"])
@pytest.mark.parametrize("security", ["plaintext", "ssl"])
def test_another_protocol_is_not_explained(answer: bytes, security: str) -> None:
    """For a port with another protocol, or one that closes connections, there is no explanation."""
    with listener(answer) as address:
        settings = Settings(kafka=address, kafka_security=security)  # type: ignore[arg-type]
        assert obstacle(settings, address) is None


def test_with_properties_unknown_to_the_probe_there_is_no_explanation(tmp_path: Path) -> None:
    """Without the key store of the clients the probe would be refused for another reason."""
    file = tmp_path / "kafka.properties"
    file.write_text("ssl.keystore.location=/k.p12\n")
    with listener(b"") as address:
        settings = Settings(kafka=address, kafka_security="ssl", kafka_config=str(file))
        assert obstacle(settings, address) is None
