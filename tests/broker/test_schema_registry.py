"""Schemas by id: asked for once, waited for, and clear words where no schema will come."""

import json
import logging
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from broker.errors import AccessError, RegistryError, StopRequestedError
from broker.schema_registry import UNKNOWN_SECONDS, SchemaRegistry
from mobility.settings import Settings
from tests.registry import Registry, running_registry

RECORD = {"type": "record", "name": "Trip", "fields": []}


@pytest.fixture
def served() -> Iterator[Registry]:
    """Return a registry with a schema of the id 7."""
    with running_registry() as registry:
        registry.contents.add(7, RECORD, "trips-value")
        yield registry


def settings_of(registry: Registry, **others: str) -> Settings:
    """Return the settings of a client."""
    return Settings(value="avro", schema_registry=registry.url, **others)  # type: ignore[arg-type] # all are texts


class Time:
    """A clock that sleeping moves."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        """Return the time."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Let the time pass."""
        self.slept.append(seconds)
        self.now += seconds


def test_a_schema_is_asked_for_once(served: Registry) -> None:
    """An id has one schema for ever."""
    registry = SchemaRegistry(settings_of(served))
    found = registry.schema(7)
    assert found is not None
    assert (found.id, found.kind, json.loads(found.text), found.referenced) == (
        *(7, "AVRO", RECORD),
        (),
    )
    assert registry.schema(7) is found
    assert served.requests == ["/schemas/ids/7"]


def test_an_unknown_id_is_asked_for_again_after_a_while(served: Registry) -> None:
    """It may be registered later; meanwhile each message with it costs no request."""
    time = Time()
    registry = SchemaRegistry(settings_of(served), clock=time)
    assert [registry.schema(8), registry.schema(8)] == [None, None]
    assert served.requests == ["/schemas/ids/8"]
    served.contents.add(8, RECORD)
    time.now += UNKNOWN_SECONDS
    assert registry.schema(8) is not None
    assert len(served.requests) == 2


def test_the_newest_schema_of_a_subject(served: Registry) -> None:
    """None where there is no such subject."""
    served.contents.add(9, RECORD | {"name": "Newer"}, "trips-value")
    registry = SchemaRegistry(settings_of(served))
    found = registry.latest("trips-value")
    assert found is not None
    assert found.id == 9
    assert registry.latest("other/name-value") is None


def test_references_come_before_what_refers_to_them(served: Registry) -> None:
    """Each once, by subject and version."""
    served.contents.add(1, '{"type":"fixed","name":"A","size":1}', "a")
    to_a = [{"name": "A", "subject": "a", "version": 1}]
    served.contents.add(2, '{"type":"record","name":"B","fields":[]}', "b", references=to_a)
    to_both = [{"name": "B", "subject": "b", "version": 1}, *to_a]
    served.contents.add(3, RECORD, references=to_both)
    found = SchemaRegistry(settings_of(served)).schema(3)
    assert found is not None
    assert [json.loads(text)["name"] for text in found.referenced] == ["A", "B"]


@pytest.mark.parametrize("status", [500, 503, 429])
def test_a_registry_that_fails_is_waited_for(
    served: Registry, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    """It is said once, and that it is over."""
    served.status, time = status, Time()

    def sleep(seconds: float) -> None:
        time.sleep(seconds)
        if len(time.slept) == 5:
            served.status = None

    registry = SchemaRegistry(settings_of(served), patience=None, clock=time, sleep=sleep)
    with caplog.at_level(logging.WARNING):
        assert registry.schema(7) is not None
    assert time.slept == [0.1, 0.2, 0.4, 0.8, 1.0]
    waiting, over = (record.getMessage() for record in caplog.records)
    assert waiting.startswith(f"Waiting for the schema registry at {served.url}: ")
    assert over == f"The schema registry at {served.url} answers again"


def test_a_registry_that_is_away_is_waited_for(
    served: Registry, caplog: pytest.LogCaptureFixture
) -> None:
    """As long as it takes, and people are reminded."""
    served.go()
    time = Time()

    def sleep(seconds: float) -> None:
        time.sleep(seconds)
        if time.now > 130:
            served.come()

    registry = SchemaRegistry(settings_of(served), patience=None, clock=time, sleep=sleep)
    with caplog.at_level(logging.WARNING):
        assert registry.schema(7) is not None
    said = [record.getMessage() for record in caplog.records]
    assert [line.startswith("Waiting for") for line in said] == [True, True, True, False]


def test_patience_ends(served: Registry) -> None:
    """A command does not wait for ever, and says what to check."""
    served.go()
    time = Time()
    registry = SchemaRegistry(settings_of(served), patience=3, clock=time, sleep=time.sleep)
    with pytest.raises(RegistryError, match="MOBILITY_SCHEMA_REGISTRY") as caught:
        registry.schema(7)
    assert served.url in str(caught.value)
    assert 3 <= time.now < 5


def test_a_stop_ends_the_wait(served: Registry) -> None:
    """After the attempt that is being made, in all threads."""
    served.go()
    stop = threading.Event()
    registry = SchemaRegistry(
        settings_of(served), patience=None, stopping=stop.is_set, sleep=lambda _s: stop.wait(0.01)
    )
    ended = []

    def ask() -> None:
        with pytest.raises(StopRequestedError):
            registry.schema(7)
        ended.append(1)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    assert ended == []
    stop.set()
    for thread in threads:
        thread.join(10)
    assert ended == [1, 1, 1]


def test_a_login_that_is_refused_is_not_repeated() -> None:
    """The right one is taken; no message shows the password."""
    with running_registry(login="hub:s3 cr:et") as registry:
        registry.contents.add(7, RECORD)
        login = {"schema_registry_user": "hub", "schema_registry_password": "s3 cr:et"}
        assert SchemaRegistry(settings_of(registry, **login)).schema(7) is not None
        registry.login = "hub:other"
        with pytest.raises(AccessError, match="MOBILITY_SCHEMA_REGISTRY_USER") as caught:
            SchemaRegistry(settings_of(registry, **login)).schema(7)
        assert "s3" not in str(caught.value)
        assert len(registry.requests) == 2


@pytest.mark.parametrize(
    ("status", "body"), [(404, b"<html>"), (404, b"{}"), (200, b"<html>"), (200, b"[]"), (302, b"")]
)
def test_what_is_no_registry_is_named(served: Registry, status: int, body: bytes) -> None:
    """A wrong address must not make every message a dead letter."""
    served.status, served.body = status, body
    with pytest.raises(AccessError, match=r"no schema registry|MOBILITY_SCHEMA_REGISTRY"):
        SchemaRegistry(settings_of(served)).schema(7)


def test_tls(tmp_path: Path) -> None:
    """A certificate that is not trusted, and no TLS at the other end, are refused at once."""
    authority = trustme.CA()
    ca = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(ca))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with running_registry(tls=context) as registry:
        registry.contents.add(7, RECORD)
        trusting = settings_of(registry, schema_registry_ca=str(ca))
        assert SchemaRegistry(trusting).schema(7) is not None
        with pytest.raises(AccessError, match="MOBILITY_SCHEMA_REGISTRY_CA"):
            SchemaRegistry(settings_of(registry)).schema(7)
        no_tls = Settings(
            value="avro", schema_registry=registry.url.replace("https", "http"), topic_prefix="t"
        )
        with pytest.raises(RegistryError):
            SchemaRegistry(no_tls, patience=0).schema(7)
    with running_registry() as registry:
        plain = registry.url.replace("http", "https")
        with pytest.raises(AccessError, match="No secured connection"):
            SchemaRegistry(Settings(value="avro", schema_registry=plain)).schema(7)


def test_a_file_that_is_no_certificate_is_named(tmp_path: Path) -> None:
    """Before anything is asked."""
    file = tmp_path / "ca.pem"
    file.write_text("no certificate")
    settings = Settings(
        value="avro", schema_registry="https://127.0.0.1:1", schema_registry_ca=str(file)
    )
    with pytest.raises(AccessError, match="MOBILITY_SCHEMA_REGISTRY_CA"):
        SchemaRegistry(settings)
