"""Secrets: read from files if those are configured, and never shown."""

from pathlib import Path

import pytest
from rich.pretty import pretty_repr

from mobility.kafka_settings import without_kafka
from mobility.secrets import PASSWORDS, SECRETS
from mobility.settings import Settings, SettingsError, read_settings, to_environ

LOGIN = {
    "MOBILITY_KAFKA_SECURITY": "sasl_ssl",
    "MOBILITY_KAFKA_MECHANISM": "PLAIN",
    "MOBILITY_KAFKA_USER": "flow",
}


def faults(environ: dict[str, str]) -> tuple[str, ...]:
    """Return what is wrong with the variables."""
    with pytest.raises(SettingsError) as caught:
        read_settings(environ)
    return caught.value.faults


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("p w\n", "p w"),
        (' p="#\\ \r\n', ' p="#\\ '),
        ("\n\np", "\n\np"),
        ("ü", "ü"),
        ("\ufeffp\r\n", "p"),
    ],
)
def test_a_secret_is_the_content_of_its_file(tmp_path: Path, text: str, secret: str) -> None:
    """Without the line end and the byte order mark that editors add."""
    file = tmp_path / "password"
    file.write_text(text, "utf-8", newline="")
    settings = read_settings(LOGIN | {"MOBILITY_KAFKA_PASSWORD_FILE": str(file)})
    assert settings.kafka_password == secret
    # Processes that a program starts get the secret itself.
    assert to_environ(settings)["MOBILITY_KAFKA_PASSWORD"] == secret


@pytest.mark.parametrize("name", SECRETS)
def test_every_secret_can_be_in_a_file(name: str) -> None:
    """Also the URLs of the stores, which have passwords."""
    text = "postgresql://u:p@h/d" if name == "postgres" else "redis://:p@h/0"
    variables = {f"MOBILITY_{name.upper()}_FILE": "/run/secrets/it"}
    if name in PASSWORDS:
        # Without other settings it is invalid for another reason.
        service = "KAFKA" if name.startswith("kafka") else "SCHEMA_REGISTRY"
        with pytest.raises(SettingsError, match=f"MOBILITY_{service}") as caught:
            read_settings(variables, lambda _path: text)
        assert "/run/secrets/it" not in str(caught.value)
    else:
        assert getattr(read_settings(variables, lambda _path: text), name) == text


def test_a_secret_has_no_nul() -> None:
    """It could not be passed to other processes in the environment."""
    with pytest.raises(SettingsError, match="MOBILITY_REDIS_FILE=f: the file is no text"):
        read_settings({"MOBILITY_REDIS_FILE": "f"}, lambda _path: "redis://:a\0b@h/0")


def test_other_settings_can_not_be_in_a_file() -> None:
    """They are in the environment only."""
    assert faults({"MOBILITY_WINDOW_FILE": "w"}) == ("MOBILITY_WINDOW_FILE: no such setting",)


def test_invalid_files_are_named(tmp_path: Path) -> None:
    """All at once, without their content."""
    empty, binary = tmp_path / "empty", tmp_path / "binary"
    empty.write_text("\n")
    binary.write_bytes(b"\xff\xfe")
    no_url = tmp_path / "no_url"
    no_url.write_text("s3cret")
    assert faults(
        LOGIN
        | {
            "MOBILITY_KAFKA_PASSWORD": "s3cret",
            "MOBILITY_KAFKA_PASSWORD_FILE": str(no_url),
            "MOBILITY_KAFKA_KEY_PASSWORD_FILE": str(empty),
            "MOBILITY_KAFKA_OAUTH_CLIENT_SECRET_FILE": str(binary),
            "MOBILITY_POSTGRES_FILE": str(no_url),
            "MOBILITY_REDIS_FILE": "/no/such",
            "MOBILITY_KAFKA_CA": "/no/such.pem",
        }
    ) == (
        f"MOBILITY_KAFKA_KEY_PASSWORD_FILE={empty}: the file is empty",
        f"MOBILITY_KAFKA_OAUTH_CLIENT_SECRET_FILE={binary}: the file is no text in UTF-8",
        (
            f"MOBILITY_KAFKA_PASSWORD_FILE={no_url}: "
            "MOBILITY_KAFKA_PASSWORD is set too: leave out one of them"
        ),
        "MOBILITY_REDIS_FILE=/no/such: the file can't be read: No such file or directory",
        "MOBILITY_POSTGRES=***: expected a URL that starts with postgresql:// or postgres://",
        "MOBILITY_KAFKA_CA=/no/such.pem: the file can't be read: No such file or directory",
    )


def test_a_secret_is_not_shown() -> None:
    """Neither in printed settings nor in a fault."""
    settings = Settings(
        redis="redis://:s3cret@h/0",
        postgres="postgresql://u:s3cret@h/d",
        **dict.fromkeys(PASSWORDS, "s3cret"),  # type: ignore[arg-type] # all are texts
    )
    for shown in (repr(settings), str(settings), f"{settings}", pretty_repr(settings)):
        assert "s3cret" not in shown
        assert shown.count("***") == len(SECRETS)
    assert faults({"MOBILITY_KAFKA_PASSWORD": ""})[0].startswith("MOBILITY_KAFKA_PASSWORD=***: ")


def test_a_program_without_kafka_reads_no_secret_of_it() -> None:
    """Several programs can share the variables."""
    environ = LOGIN | {"MOBILITY_KAFKA_PASSWORD_FILE": "/no/such", "MOBILITY_WINDOW": "60"}
    assert read_settings(without_kafka(environ)) == Settings(window=60)


def test_a_program_without_kafka_knows_what_the_log_holds() -> None:
    """That is an answer setting; it needs no secret of the schema registry either."""
    url = "https://registry.example"
    environ = {"MOBILITY_VALUE": "avro", "MOBILITY_SCHEMA_REGISTRY": url} | {
        f"MOBILITY_SCHEMA_REGISTRY_{name}": "/no/such"
        for name in ("CA", "USER", "PASSWORD_FILE", "CERTIFICATE", "KEY", "KEY_PASSWORD_FILE")
    }
    settings = read_settings(without_kafka(environ))
    assert settings == Settings(value="avro", schema_registry=url)
