"""What Kafka refuses is said in one clear line, within seconds."""

import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import polars as pl
import pytest

from broker.errors import AccessError, BrokerError, DeliveryDeniedError, DeliveryError
from broker.producer import CheckedProducer
from broker.topic_reader import TopicReader
from broker.topics import find_topic
from mobility.settings import Settings
from mobility.times import iso_time
from mobility.topics import trips_topic
from tests.dataflows.conftest import Hub
from tests.security.acls import Acl
from tests.security.certificates import Certificate
from tests.security.conftest import Secured, run
from tests.security.secured_kafka import PASSWORD
from tests.strategies import MINUTE, NOON, Entry

pytestmark = [pytest.mark.services, pytest.mark.xdist_group("secured_kafka")]

WRONG: Final = "s3cret"  # in no message

Change = Callable[[Secured], dict[str, Any]]


def files(certificate: Certificate) -> dict[str, str]:
    """Return the settings of a client certificate."""
    return {
        "kafka_certificate": str(certificate.certificate),
        "kafka_key": str(certificate.key),
    }


def at(listener: str, **others: str | None) -> Change:
    """Return a change to another listener, and of other settings."""
    return lambda secured: {"kafka": secured.broker.address(listener), **others}


def without_login(listener: str, security: str) -> Change:
    """Return settings that log in nowhere."""
    nothing = dict.fromkeys(("kafka_mechanism", "kafka_user", "kafka_password"))
    trusted = {} if security == "ssl" else {"kafka_ca": None}
    return at(listener, kafka_security=security, **nothing, **trusted)


def by_certificate(issue: Callable[[Secured], Certificate]) -> Change:
    """Return a change to mTLS with a certificate."""
    return lambda secured: without_login("mtls", "ssl")(secured) | files(issue(secured))


def by_token(**others: str) -> Change:
    """Return a change to OAUTHBEARER with something else."""

    def change(secured: Secured) -> dict[str, Any]:
        nothing = dict.fromkeys(("kafka_user", "kafka_password"))
        return {**nothing, **secured.login("flow", "OAUTHBEARER"), **others}

    return change


LOGINS: Final[dict[str, tuple[Change, str]]] = {
    "a wrong password of SCRAM": (
        lambda _: {"kafka_password": WRONG},
        "refuses the user flow: .*invalid credentials.* Check MOBILITY_KAFKA_USER",
    ),
    "a wrong password of PLAIN": (
        lambda _: {"kafka_password": WRONG, "kafka_mechanism": "PLAIN"},
        "refuses the user flow: .*Invalid username or password. Check MOBILITY_KAFKA_USER",
    ),
    "an unknown user": (lambda _: {"kafka_user": "stranger"}, "refuses the user stranger"),
    "a mechanism that is not taken": (
        at("scram-only", kafka_mechanism="PLAIN"),
        "does not take MOBILITY_KAFKA_MECHANISM=PLAIN: choose one of SCRAM-SHA-",
    ),
    "a wrong secret of a client": (
        by_token(kafka_oauth_client_secret=WRONG),
        r"No token for Kafka from https://.*invalid_client.*Check MOBILITY_KAFKA_OAUTH_CLIENT_ID",
    ),
    "an expired certificate of the broker": (
        at("expired"),
        r"The certificate of Kafka at \S+ has expired \(valid until 20",
    ),
    "a broker whose certificate is for another host": (
        at("elsewhere"),
        r"The certificate of Kafka at \S+ is for another host",
    ),
    "an unknown CA": (
        lambda secured: {"kafka_ca": str(secured.broker.other_authority.path)},
        r"is signed by no CA that is in \S+ \(MOBILITY_KAFKA_CA\)",
    ),
    "no CA": (
        lambda _: {"kafka_ca": None},
        "signed by no CA that this system knows: name the file of that CA in MOBILITY_KAFKA_CA",
    ),
    "TLS against a plaintext port": (
        lambda secured: {"kafka": secured.broker.url},
        "speaks no TLS: .*or set MOBILITY_KAFKA_SECURITY=sasl_plaintext",
    ),
    "plaintext against a TLS port": (
        without_login("sasl", "plaintext"),
        "speaks TLS: set MOBILITY_KAFKA_SECURITY=ssl",
    ),
    "a login in plaintext against a TLS port": (
        at("sasl", kafka_security="sasl_plaintext", kafka_ca=None),
        "speaks TLS: set MOBILITY_KAFKA_SECURITY=sasl_ssl",
    ),
    "no login where one is asked for": (
        without_login("unencrypted", "plaintext"),
        "asks for a login: set MOBILITY_KAFKA_SECURITY=sasl_plaintext",
    ),
    "no login where one is asked for behind TLS": (
        without_login("sasl", "ssl"),
        "asks for a login: set MOBILITY_KAFKA_SECURITY=sasl_ssl",
    ),
    "a login where none is asked for": (
        lambda secured: {
            "kafka": secured.broker.url,
            "kafka_security": "sasl_plaintext",
            "kafka_ca": None,
        },
        "asks for no login .SASL.: set MOBILITY_KAFKA_SECURITY=plaintext",
    ),
    "no client certificate": (
        without_login("mtls", "ssl"),
        "asks for a client certificate: set MOBILITY_KAFKA_CERTIFICATE",
    ),
    "an expired client certificate": (
        by_certificate(lambda s: s.broker.authority.issue("old", host="flow", expired=True)),
        r"The client certificate \S+ \(MOBILITY_KAFKA_CERTIFICATE\) has expired \(valid until 20",
    ),
    "a client certificate of another CA": (
        by_certificate(lambda s: s.broker.other_authority.issue("flow", host="flow")),
        r"The client certificate \S+ \(MOBILITY_KAFKA_CERTIFICATE\) is refused",
    ),
    "a key with a password": (
        by_certificate(lambda s: s.broker.authority.issue("k", host="k", key_password=WRONG)),
        "can't be made: .*Check MOBILITY_KAFKA_KEY, MOBILITY_KAFKA_KEY_PASSWORD",
    ),
}


@pytest.fixture
def flow(services: Settings, secured: Secured) -> Settings:
    """Return the settings of a user that logs in."""
    return msgspec.structs.replace(services, **secured.login("flow"))


@pytest.mark.parametrize("case", LOGINS)
def test_a_client_that_can_not_log_in(flow: Settings, secured: Secured, case: str) -> None:
    """One line says what is refused and which setting is about it; no secret is in it."""
    change, words = LOGINS[case]
    started = time.monotonic()
    with pytest.raises(AccessError, match=words) as refused:
        find_topic(msgspec.structs.replace(flow, **change(secured)), "any")
    # Far below any timeout of a client, the shortest of which is 15 s.
    assert time.monotonic() - started < 10
    line = str(refused.value)
    assert "\n" not in line
    assert WRONG not in line
    assert PASSWORD not in line


def test_a_token_endpoint_that_is_away_may_come_back(flow: Settings, secured: Secured) -> None:
    """So this is no refusal: the flow is started again."""
    change = by_token(kafka_oauth_token_url="http://127.0.0.1:1/token")(secured)  # noqa: S106 - a URL
    with pytest.raises(BrokerError, match=r"No token for Kafka from http://127\.0\.0\.1:1") as away:
        find_topic(msgspec.structs.replace(flow, **change), "any")
    assert not isinstance(away.value, AccessError)


@pytest.mark.parametrize("columns", [False, True])
def test_a_producer_that_can_not_log_in(flow: Settings, *, columns: bool) -> None:
    """Its messages time out, and the line says why nobody took them."""
    wrong = msgspec.structs.replace(flow, kafka_password=WRONG)
    producer = CheckedProducer(wrong, "test", timeout_seconds=3)
    with pytest.raises(DeliveryError, match=r"timed out\. Kafka at .* refuses the user flow"):
        deliver(producer, "any", columns=columns)


@pytest.mark.parametrize("columns", [False, True])
@pytest.mark.parametrize("part", ["nobody", "audit"])
def test_a_producer_that_may_not_write(
    city: Hub, secured: Secured, part: str, *, columns: bool
) -> None:
    """Whether its user may see the topic or nothing at all, the ACL is named."""
    city.make_topics()
    topic = trips_topic(city.settings)
    settings = msgspec.structs.replace(city.settings, **secured.login(part))
    with pytest.raises(DeliveryDeniedError, match=f"the user {part} write to .*: allow Write on"):
        deliver(CheckedProducer(settings, "test"), topic, columns=columns)


def deliver(producer: CheckedProducer, topic: str, *, columns: bool) -> None:
    """Send a message and wait until it is delivered."""
    if columns:
        producer.send_columns(topic, pl.Series(["k"]), pl.Series(["v"]))
    else:
        producer.send(topic, ["k"], ["v"])
    producer.flush()


def test_a_reader_that_may_not_read(city: Hub, secured: Secured) -> None:
    """The producer's user sees the topic, but reads nothing there."""
    city.make_topics()
    city.write([[Entry(NOON, "t")], [], []])
    topic = trips_topic(city.settings)
    settings = msgspec.structs.replace(city.settings, **secured.login("producer"))
    with TopicReader(settings, topic) as reader, pytest.raises(AccessError) as denied:
        list(reader.read(reader.beginnings()))
    assert re.search(f"the user producer read the topic {topic}: allow Read on", str(denied.value))


DEAD: Final = "0:60"
LOG: Final[list[list[Entry | bytes]]] = [
    [
        *(Entry(NOON + minute * MINUTE, f"a{minute}", "d1") for minute in range(60)),
        b"{",
        Entry(NOON, "late", "d1"),
    ],
    [Entry(NOON + minute * MINUTE, f"b{minute}", "d1") for minute in range(60)],
    [Entry(NOON + minute * MINUTE, f"c{minute}", "d1") for minute in range(60)],
]
"""An hour of trips, a message that is none, and a trip that is late."""

MISSING: Final = [
    (Acl("topics", "Topic", "*", "Describe"), "see the topic .*trips_stream"),
    (Acl("topics", "Topic", "*", "Create"), "create the topic .*: allow Create on Topic"),
    (Acl("topics", "Topic", "*", "DescribeConfigs"), "see the configuration of the topic"),
    (Acl("producer", "Topic", "trips_stream", "Write"), "see the topic .*trips_stream"),
    (Acl("flow", "Topic", "trips_stream", "Read"), "read the topic .*trips_stream: allow Read"),
    (Acl("flow", "Topic", "trips_dlq", "Write"), "write to the topic .*trips_dlq: allow Write"),
    (Acl("flow", "Topic", "aggregated.*", "Write"), r"write to the topic .*aggregated\.\w+: allow"),
    (Acl("audit", "Topic", "aggregated.*", "Read"), r"see the topic .*aggregated\.\w+"),
    (Acl("corrections", "Topic", "trips_stream", "Write"), "write to the topic .*trips_stream"),
    (Acl("corrections", "Topic", "trips_late", "Read"), "read the topic .*trips_late: allow Read"),
    (Acl("backfill", "Topic", "trips_late", "Read"), "see the topic .*trips_late"),
    (Acl("backfill", "Topic", "aggregated.*", "Write"), r"write to the topic .*aggregated\.\w+"),
]


@pytest.mark.parametrize(("missing", "words"), MISSING)
def test_a_missing_acl(
    city: Hub, secured: Secured, tmp_path: Path, missing: Acl, words: str
) -> None:
    """The part ends, and says with which operation on which topic; it is not restarted."""
    prefix = f"x{city.settings.topic_prefix}"
    city.settings = msgspec.structs.replace(city.settings, topic_prefix=prefix)
    secured.allow(prefix, but=missing)
    if missing.operation != "Create":
        city.make_topics()
        city.write(LOG)
    if missing.part in {"audit", "corrections", "backfill"}:
        done = city.run()
        assert done.returncode == 0, done.stderr[-3_000:]
    settings = secured.as_part(city.settings, missing.part, read="once")
    done = run(settings, *command(missing, tmp_path))
    told = done.stdout + done.stderr
    assert done.returncode in {1, 2}, told
    assert re.search(f"Kafka at .* does not let the .*{missing.part}.* {words}", told), told
    assert "Traceback" not in told
    assert "Restart" not in told


def command(missing: Acl, folder: Path) -> Sequence[object]:
    """Return the command of a part that needs the ACL: a module and its arguments."""
    trip = folder / "trip.ndjson"
    trip.write_bytes(Entry(NOON + 59 * MINUTE, "c", "d1", "car", 1_000_000).value or b"")
    if missing.part == "corrections" and missing.name == "trips_stream":
        return ["corrections", "dlq", "replay", DEAD, "--with", trip]
    begin, end = iso_time(NOON), iso_time(NOON + 10 * MINUTE)
    backfill = ["--from", begin, "--to", end, "--records", folder / "records", "--apply"]
    commands: dict[str, Sequence[object]] = {
        "topics": ["broker.topic_setup"],
        "producer": ["producer", "data/trips.parquet", "--speed", "max"],
        "flow": ["dataflows", "-r", folder / "recovery"],
        "audit": ["audit.sampling", "--all"],
        "corrections": ["corrections", "late", "list"],
        "backfill": ["backfill", *backfill],
    }
    return commands[missing.part]


def test_a_flow_that_can_not_log_in(city: Hub, secured: Secured, tmp_path: Path) -> None:
    """It says so once and ends with 2: no restart would change that."""
    settings = secured.as_part(city.settings, "flow", kafka_password=WRONG)
    done = run(settings, "dataflows", "-r", tmp_path / "recovery")
    assert done.returncode == 2, done.stderr
    (line,) = [each for each in done.stderr.splitlines() if "refuses the user flow" in each]
    assert "Traceback" not in done.stderr
    assert WRONG not in done.stderr
    assert line.startswith("Kafka at ")


def test_properties_that_are_refused(city: Hub, secured: Secured, tmp_path: Path) -> None:
    """All of them are named before anything is read or written."""
    file = tmp_path / "kafka.properties"
    file.write_text("acks=1\nno.such.property=1\nlinger.ms=5\n")
    settings = secured.as_part(city.settings, "flow", kafka_config=str(file))
    done = run(settings, "dataflows", "-r", tmp_path / "recovery")
    assert done.returncode == 2, done.stderr
    told = [line for line in done.stderr.splitlines() if line.startswith("MOBILITY_KAFKA_CONFIG=")]
    assert len(told) == 2
    assert "acks may not be set: a message counts once all in-sync replicas have it" in told[0]
    assert 'No such configuration property: "no.such.property"' in told[1]
    assert "Traceback" not in done.stderr
