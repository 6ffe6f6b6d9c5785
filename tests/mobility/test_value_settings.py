"""Settings of the schema registry that do not fit together are all named at the start."""

import pytest

from mobility.settings import Settings, SettingsError, read_settings

AVRO = {"VALUE": "avro", "SCHEMA_REGISTRY": "https://registry.example"}


def faults(variables: dict[str, str]) -> list[str]:
    """Return what is wrong with variables, their prefix left out."""
    try:
        read_settings(
            {f"MOBILITY_{name}": text for name, text in variables.items()}, lambda _path: "text"
        )
    except SettingsError as error:
        return [fault.removeprefix("MOBILITY_") for fault in error.faults]
    return []


@pytest.mark.parametrize(
    "variables",
    [
        {"VALUE": "json"},
        {"VALUE": "connect-json"},
        {"VALUE": "debezium"},
        AVRO,
        AVRO | {"SCHEMA_REGISTRY": "http://a:1,http://b:2"},
        AVRO | {"SCHEMA_REGISTRY_USER": "u", "SCHEMA_REGISTRY_PASSWORD": "p"},
        AVRO
        | {
            "SCHEMA_REGISTRY_CA": "a",
            "SCHEMA_REGISTRY_CERTIFICATE": "c",
            "SCHEMA_REGISTRY_KEY": "k",
            "SCHEMA_REGISTRY_KEY_PASSWORD": "p",
        },
    ],
)
def test_what_fits_together(variables: dict[str, str]) -> None:
    """Every format, and every way to log in to a registry."""
    assert faults(variables) == []


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"VALUE": "protobuf"}, ["VALUE=protobuf: "]),
        ({"VALUE": "avro"}, ["VALUE=avro needs MOBILITY_SCHEMA_REGISTRY"]),
        (
            {"SCHEMA_REGISTRY": "http://a", "SCHEMA_REGISTRY_USER": "u"},
            ["SCHEMA_REGISTRY has no effect", "SCHEMA_REGISTRY_USER has no effect"],
        ),
        (AVRO | {"SCHEMA_REGISTRY": "registry:8081"}, ["SCHEMA_REGISTRY=registry:8081: "]),
        (
            AVRO | {"SCHEMA_REGISTRY": "https://u:s3cret@registry"},
            ["SCHEMA_REGISTRY has a user or a password: set MOBILITY_SCHEMA_REGISTRY_USER and"],
        ),
        (
            AVRO | {"SCHEMA_REGISTRY_USER": "u", "SCHEMA_REGISTRY_KEY": "k"},
            [
                "SCHEMA_REGISTRY_USER needs MOBILITY_SCHEMA_REGISTRY_PASSWORD",
                "SCHEMA_REGISTRY_KEY needs MOBILITY_SCHEMA_REGISTRY_CERTIFICATE",
            ],
        ),
        (
            AVRO | {"SCHEMA_REGISTRY": "http://a", "SCHEMA_REGISTRY_CA": "a"},
            ["SCHEMA_REGISTRY_CA has no effect: MOBILITY_SCHEMA_REGISTRY is not https://"],
        ),
    ],
)
def test_what_does_not(variables: dict[str, str], expected: list[str]) -> None:
    """Each fault is one line, and shows no secret."""
    found = faults(variables)
    assert [line[: len(start)] for line, start in zip(found, expected, strict=True)] == expected
    assert "s3cret" not in str(found)


def test_the_format_is_an_answer_and_the_registry_is_none() -> None:
    """A registry may move; a folder of the default format is as it was before there were others."""
    avro = Settings(value="avro", schema_registry="http://a")
    assert avro.fingerprint == Settings(value="avro", schema_registry="http://b").fingerprint
    assert avro.fingerprint != Settings().fingerprint
