"""Settings: all faults are reported at once, and no secret is shown."""

import re
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mobility.secrets import SECRETS
from mobility.settings import (
    ANSWER_SETTINGS,
    Settings,
    SettingsError,
    Store,
    masked,
    read_settings,
    to_environ,
)
from mobility.sketched_measures import SKETCH_BY_NAME

# A value other than the default, for each setting.
OTHERS: dict[str, Any] = {
    "kafka": "a:1,[::1]:65535",
    "kafka_security": "sasl_ssl",
    "kafka_mechanism": "SCRAM-SHA-512",
    "kafka_user": "flow",
    "kafka_password": " a b ",
    "kafka_oauth_client_id": "hub",
    "kafka_oauth_client_secret": "s",
    "kafka_oauth_token_url": "https://login.example/token",
    "kafka_oauth_scope": "kafka",
    "kafka_ca": "ca.pem",
    "kafka_certificate": "hub.pem",
    "kafka_key": "hub.key",
    "kafka_key_password": "s",
    "kafka_config": "kafka.properties",
    "consumer_group": "city.{prefix}{flow}-1",
    "redis": "rediss://h:1/2",
    "postgres": "postgres://u:p@h/d",
    "delta": "s3://city/lake",
    "stores": ("postgres", "redis"),
    "topic_prefix": "t-1.",
    "redis_prefix": "t:",
    "partitions": 12,
    "replication": 3,
    "retention_hours": 1,
    "window": 60,
    "event_time": "end",
    "out_of_orderness": 0,
    "allowed_lateness": 0,
    "future_tolerance": 0,
    "region": "location",
    "h3_resolution": 15,
    "refunds": True,
    "max_message_bytes": 15 * 1024 * 1024,
    "drivers": "a folder/drivers.parquet",
    "recovery_dir": "a folder/recovery",
    "passengers": "p.parquet",
    "locations": "l.parquet",
    "read": "once",
    "timestamp": "create",
    "value": "debezium",
    "schema_registry": "https://registry.example",
    "schema_registry_user": "hub",
    "schema_registry_password": " a b ",
    "schema_registry_ca": "ca.pem",
    "schema_registry_certificate": "hub.pem",
    "schema_registry_key": "hub.key",
    "schema_registry_key_password": "s",
    "measures": ("duration_histogram",),
    "enriched": ("h3", "driver"),
    "shards": 7,
    "batch_size": 1,
    "fetch_memory_mb": 1,
    "idle_after": 1,
    "punctuate_after": 1,
    "alignment": 1,
    "early_every": 2,
    "snapshot_interval": 1,
    "status_dir": "s",
    "metrics_host": "0.0.0.0",  # noqa: S104 - it is not listened on
    "metrics_port": 9100,
    "cluster": "c",
    "accept_gap": True,
    "fence": 1_735_689_600_000,
    "audit_every": 1,
    "audit_port": 9,
    "redis_expiry": 1,
    "redis_ledger_hours": 1,
    "retention": "panes:14d",
    "api_host": "::1",
    "api_port": 0,
    "api_hosts": ("city.example", "*.example.org"),
    "api_origins": ("https://city.example",),
    "api_tokens": "a folder/tokens",
    "api_rate": 0,
    "api_live_readers": 0,
    "api_kafka": False,
    "workspace": "january",
    "map_tiles": "https://tiles.example:8443/{z}/{x}/{y}.png",
    "map_credit": "© people who survey",
    "timezone": "America/New_York",
    "ready_lag": 0,
    "ready_age": 0,
}
NAMES = sorted(OTHERS)

BY_PASSWORD = ("security", "mechanism", "user", "password")
BY_TOKEN = ("security", "oauth_client_id", "oauth_client_secret", "oauth_token_url", "oauth_scope")
TLS = ("ca", "certificate", "key", "key_password")


def kafka(*names: str, **values: str) -> dict[str, str]:
    """Return settings of Kafka from the table above, and others."""
    return {f"kafka_{name}": OTHERS[f"kafka_{name}"] for name in names} | {
        f"kafka_{name}": value for name, value in values.items()
    }


REGISTRY = {name: OTHERS[name] for name in OTHERS if name.startswith("schema_registry")}

LOGINS = [
    {},
    REGISTRY | {"value": "avro"},
    kafka(*BY_PASSWORD),
    kafka(*BY_PASSWORD, *TLS),
    kafka(*BY_TOKEN, "config", mechanism="OAUTHBEARER"),
    kafka(*TLS, security="ssl"),
]
"""Settings of Kafka and of the schema registry that fit together."""


def test_every_setting_is_documented() -> None:
    """docs/settings.md has a row for each variable, and no other rows."""
    text = (Path(__file__).parents[2] / "docs" / "settings.md").read_text()
    table = text.partition("\nNumbers are in these ranges")[0]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    variables = {f"MOBILITY_{field.name.upper()}" for field in msgspec.structs.fields(Settings)}
    files = {f"MOBILITY_{name.upper()}_FILE" for name in SECRETS}
    assert set(re.findall(r"`(\w+)`", " ".join(rows))) == variables | files


NUMBERS = sorted(name for name in OTHERS if type(OTHERS[name]) is int)


def documented_ranges() -> dict[str, tuple[int, int]]:
    """Return the least and the greatest value of each number, by docs/settings.md."""
    text = (Path(__file__).parents[2] / "docs" / "settings.md").read_text()
    return {
        name.lower(): (int(least), int(greatest))
        for names, least, greatest in re.findall(
            r"^\| (`.*`) \| (\d+) to (\d+)", text, re.MULTILINE
        )
        for name in re.findall(r"`MOBILITY_(\w+)`", names)
    }


def test_every_number_has_a_documented_range() -> None:
    """No number is left out."""
    assert sorted(documented_ranges()) == NUMBERS


@pytest.mark.parametrize("name", NUMBERS)
def test_a_number_is_in_its_range(name: str) -> None:
    """Both ends are allowed; the next numbers, and much greater ones, are refused at the start."""
    least, greatest = documented_ranges()[name]
    variable = name.upper()
    for number in (least, greatest):
        found = read_settings({f"MOBILITY_{variable}": str(number)})
        assert getattr(found, name) == number
    for number in (least - 1, greatest + 1, 10**30):
        (fault,) = faults(**{variable: str(number)})
        assert fault.startswith(f"MOBILITY_{variable}={number}: Expected `int`")


def test_every_setting_has_an_example_here() -> None:
    """The table above has every setting, so the tests below include new ones."""
    assert set(OTHERS) >= {field.name for field in msgspec.structs.fields(Settings)}
    assert all(OTHERS[name] != getattr(Settings(), name) for name in NAMES)


@given(st.sets(st.sampled_from(NAMES)), st.sampled_from(LOGINS))
def test_settings_are_read_back_from_the_environment(
    names: set[str], login: dict[str, str]
) -> None:
    """From their variables, without those of default values."""
    free = {name for name in names if not name.startswith(("kafka_", "schema_registry"))}
    values = {name: OTHERS[name] for name in free} | login
    settings = Settings(**values)
    environ = to_environ(settings)
    assert set(environ) == {f"MOBILITY_{name.upper()}" for name in values}
    others = {"HOME": "/", "mobility_window": "x"}
    assert read_settings(environ | others, lambda _path: "text") == settings


@pytest.mark.parametrize("name", NAMES)
def test_the_fingerprint_is_of_the_answer_settings(name: str) -> None:
    """It changes with each setting that changes answers, and with no others."""
    other = Settings(**{name: OTHERS[name]})
    assert (other.fingerprint != Settings().fingerprint) == (name in ANSWER_SETTINGS)
    assert len(other.fingerprint) == 12
    assert (f"MOBILITY_{name.upper()}=" in other.answers) == (name in ANSWER_SETTINGS)


def test_the_fingerprint_is_pinned() -> None:
    """It is stored data: it is the same in every version."""
    assert Settings().fingerprint == "15c0f9001883"


def faults(**variables: str) -> tuple[str, ...]:
    """Return the faults of MOBILITY_* variables."""
    with pytest.raises(SettingsError) as caught:
        read_settings({f"MOBILITY_{name}": text for name, text in variables.items()})
    assert str(caught.value) == "\n".join(["Invalid settings:", *caught.value.faults])
    return caught.value.faults


def test_every_fault_is_reported_at_once() -> None:
    """An error with six faults lists all six."""
    found = faults(
        WINDOWS="300",
        WINDOW="0",
        SHARDS="four",
        STORES="redis,mongo",
        REDIS="http://h",
        KAFKA="h",
    )
    assert [fault.split("=")[0].split(":")[0] for fault in found] == [
        "MOBILITY_SHARDS",
        "MOBILITY_STORES",
        "MOBILITY_WINDOW",
        "MOBILITY_WINDOWS",
        "MOBILITY_REDIS",
        "MOBILITY_KAFKA",
    ]
    assert "no such setting" in found[3]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("WINDOW", ""),
        ("WINDOW", "-300"),
        ("WINDOW", "1.5"),
        ("EARLY_EVERY", "0"),
        ("IDLE_AFTER", "0"),
        ("SNAPSHOT_INTERVAL", "0"),
        ("PUNCTUATE_AFTER", "-1"),
        ("ALLOWED_LATENESS", "-1"),
        ("EVENT_TIME", "middle"),
        ("H3_RESOLUTION", "16"),
        ("REFUNDS", "maybe"),
        ("TOPIC_PREFIX", "a/b"),
        ("TOPIC_PREFIX", "a" * 101),
        ("CONSUMER_GROUP", "mobility"),  # both flows would have it
        ("CONSUMER_GROUP", "mobility {flow}"),
        ("CONSUMER_GROUP", "{tenant}.{flow}"),
        ("ENRICHED", "driver,riders"),
        ("API_PORT", "65536"),
        ("AUDIT_PORT", "65536"),
        ("MAX_MESSAGE_BYTES", "0"),
        ("MAX_MESSAGE_BYTES", "15728641"),
        ("KAFKA", "h:0"),
        ("KAFKA", "h:65536"),
        ("KAFKA", "h:1,"),
        ("POSTGRES", "mysql://h/d"),
        ("REDIS", ""),
        ("STORES", "delta"),  # without MOBILITY_DELTA
        ("RETENTION", "14d"),
        ("RETENTION", "panes:0d"),
        ("RETENTION", "panes:14d,hours:13d"),
        ("RETENTION", "hours:400d"),
        ("RETENTION", "panes:14d,days:400d"),
        ("DELTA", ""),
        ("DELTA", "s3://"),
        ("DELTA", "http://h/lake"),
        ("DELTA", "s3://user:secret@bucket/lake"),
        ("MAP_TILES", "https://tiles.example/{z}/{x}.png"),
        ("MAP_TILES", "data:{z}{x}{y}"),
        ("TIMEZONE", ""),
        ("TIMEZONE", "../UTC"),
        ("MAP_TILES", "https://tiles.example; script-src */{z}/{x}/{y}"),
    ],
)
def test_an_invalid_value_is_named(name: str, text: str) -> None:
    """The only fault names the variable."""
    (fault,) = faults(**{name: text})
    assert fault.startswith(f"MOBILITY_{name}=")


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("New York", "America/New_York"),
        ("europe/Berln", "Europe/Berlin"),
        ("Middle-earth", "America/New_York or UTC"),
    ],
)
def test_a_time_zone_is_one_of_the_database(name: str, nearest: str) -> None:
    """The fault has the nearest names, and otherwise how names look."""
    assert read_settings({"MOBILITY_TIMEZONE": " Asia/Kolkata "}).timezone == "Asia/Kolkata"
    (fault,) = faults(TIMEZONE=name)
    start = f"MOBILITY_TIMEZONE={name}: no such time zone (expected a name such as {nearest}"
    assert fault.startswith(start)


def test_a_variable_in_other_case_is_a_fault() -> None:
    """MOBILITY_Window is more likely a mistake than the variable of another program."""
    assert faults(Window="60") == ("MOBILITY_Window: no such setting",)


@pytest.mark.parametrize(
    "url",
    [
        "mysql://hub:s3cret@h/d",
        "http://:s3cret@h",
        "mysql://hub:s3cret@x@h/d",
        "mysql://h/d?user=hub&password=s3cret&x=1",
        "postgresql://hub:pass/s3cret@h/d",
        "postgresql://hub:pass#s3cret@h/d",
        "mysql://hub:pass?s3cret\ns3cret@h/d",
        "mysql://hub@city:s3cret@h:5/d",
    ],
)
def test_secrets_are_masked(url: str) -> None:
    """No message has a password."""
    (fault,) = faults(POSTGRES=url)
    assert "s3cret" not in fault
    assert "***" in fault
    assert masked(masked(url)) == masked(url)


@pytest.mark.parametrize(
    "url",
    [
        "redis://h:1/0",
        "postgresql://hub@h:5/d?sslmode=require",
        "postgresql://hub@h:5,i:6/d?application_name=hub@city",
    ],
)
def test_urls_without_a_secret_stay_as_they_are(url: str) -> None:
    """Only passwords are masked."""
    assert masked(url) == url


def test_lists_are_names_with_commas() -> None:
    """Spaces and duplicates are ignored; `all` means every entity, or every optional measure."""
    settings = read_settings(
        {
            "MOBILITY_STORES": " redis , postgres,redis,delta",
            "MOBILITY_DELTA": "lake",
            "MOBILITY_ENRICHED": "all",
            "MOBILITY_MEASURES": "all",
        }
    )
    assert settings.stores == get_args(Store)
    assert settings.enriched == ("driver", "passenger", "vehicle_type", "h3")
    assert settings.measures == tuple(SKETCH_BY_NAME)
    assert read_settings({"MOBILITY_STORES": ""}).stores == ()


def test_unknown_names_are_refused_with_those_that_there_are() -> None:
    """All of them at once, beside other faults. Measures that are always computed are not named."""
    with pytest.raises(SettingsError) as raised:
        read_settings({"MOBILITY_MEASURES": "p99, trip_count", "MOBILITY_SHARDS": "0"})
    measures, shards = raised.value.faults
    known = ", ".join(SKETCH_BY_NAME)
    assert measures == (
        "MOBILITY_MEASURES=p99, trip_count: no such optional measure: p99, trip_count "
        f"(there are {known}, or `all`)"
    )
    assert shards.startswith("MOBILITY_SHARDS=0: ")


def test_a_retention_is_longer_than_a_window_takes_trips() -> None:
    """Otherwise windows that are still open would be dropped."""
    kept = {"MOBILITY_RETENTION": "panes:1d", "MOBILITY_WINDOW": "43200"}
    most = read_settings(kept | {"MOBILITY_ALLOWED_LATENESS": "43200"})
    assert most.retention_ms == {"panes": 86_400_000}
    with pytest.raises(SettingsError, match="shorter than a window takes trips"):
        read_settings(kept | {"MOBILITY_ALLOWED_LATENESS": "43201"})
    assert Settings().retention_ms == {}
    both = read_settings({"MOBILITY_RETENTION": "panes:14d,hours:400d"})
    assert both.retention_ms == {"panes": 14 * 86_400_000, "hours": 400 * 86_400_000}


@pytest.mark.parametrize("location", ["lake", "/var/lake", "s3://b", "gs://b/a/b", "az://c/lake"])
def test_places_of_delta(location: str) -> None:
    """Folders, and URLs of object stores."""
    assert read_settings({"MOBILITY_DELTA": location}).delta == location


@pytest.mark.parametrize(
    ("stores", "groups"),
    [
        ((), []),
        (("redis",), [("redis",)]),
        (("redis", "postgres"), [("postgres", "redis")]),
        (("redis", "delta"), [("redis",), ("delta",)]),
        (("delta", "redis", "postgres"), [("delta",), ("postgres", "redis")]),
    ],
)
def test_which_stores_are_written_together(
    stores: tuple[Store, ...], groups: list[tuple[Store, ...]]
) -> None:
    """A store follows another only where that is there; others are authorities."""
    settings = Settings(stores=stores)
    assert [each.stores for each in settings.by_authority] == groups
    assert settings.authorities == tuple(group[0] for group in groups)
