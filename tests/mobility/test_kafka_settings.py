"""Settings of Kafka that do not fit together are all named at the start."""

import pytest

from mobility.settings import SettingsError, read_settings

PASSWORD = {"SECURITY": "sasl_ssl", "MECHANISM": "PLAIN", "USER": "u", "PASSWORD": "p"}
TOKEN = {
    "SECURITY": "sasl_ssl",
    "MECHANISM": "OAUTHBEARER",
    "OAUTH_CLIENT_ID": "c",
    "OAUTH_CLIENT_SECRET": "s",
    "OAUTH_TOKEN_URL": "https://login.example/token",
}


def faults(variables: dict[str, str]) -> list[str]:
    """Return what is wrong with MOBILITY_KAFKA_* variables, the prefix left out."""
    try:
        read_settings(
            {f"MOBILITY_KAFKA_{name}": text for name, text in variables.items()},
            lambda _path: "text",
        )
    except SettingsError as error:
        return [fault.removeprefix("MOBILITY_KAFKA_") for fault in error.faults]
    return []


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"SECURITY": "ssl"},
        {"SECURITY": "ssl", "CERTIFICATE": "c", "KEY": "k", "KEY_PASSWORD": "p", "CA": "a"},
        PASSWORD,
        PASSWORD | {"SECURITY": "sasl_plaintext"},
        PASSWORD | {"CERTIFICATE": "c", "KEY": "k"},
        TOKEN,
        TOKEN | {"OAUTH_SCOPE": "kafka"},
    ],
)
def test_valid_combinations(variables: dict[str, str]) -> None:
    """Every kind of authentication."""
    assert faults(variables) == []


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"MECHANISM": "PLAIN"}, ["MECHANISM has no effect"]),
        ({"SECURITY": "ssl", "USER": "u"}, ["USER has no effect"]),
        ({"SECURITY": "sasl_ssl"}, ["SECURITY=sasl_ssl needs MOBILITY_KAFKA_MECHANISM"]),
        (
            {"SECURITY": "sasl_ssl", "MECHANISM": "PLAIN"},
            ["MECHANISM=PLAIN needs MOBILITY_KAFKA_USER, MOBILITY_KAFKA_PASSWORD"],
        ),
        (
            {"SECURITY": "sasl_ssl", "MECHANISM": "OAUTHBEARER", "USER": "u"},
            ["MECHANISM=OAUTHBEARER needs MOBILITY_KAFKA_OAUTH_CLIENT_ID", "USER has no effect"],
        ),
        (PASSWORD | {"OAUTH_SCOPE": "s"}, ["OAUTH_SCOPE has no effect"]),
        (PASSWORD | {"SECURITY": "sasl_plaintext", "CA": "a"}, ["CA has no effect"]),
        ({"SECURITY": "ssl", "CERTIFICATE": "c"}, ["CERTIFICATE needs MOBILITY_KAFKA_KEY"]),
        ({"SECURITY": "ssl", "KEY": "k"}, ["KEY needs MOBILITY_KAFKA_CERTIFICATE"]),
        ({"SECURITY": "ssl", "KEY_PASSWORD": "p"}, ["KEY_PASSWORD needs MOBILITY_KAFKA_KEY"]),
        (
            {"CA": "a", "USER": "u", "CERTIFICATE": "c"},
            [
                "USER has no effect",
                "CA has no effect",
                "CERTIFICATE has no effect",
                "CERTIFICATE needs",
            ],
        ),
        # An invalid setting is not reported as missing, too.
        ({"SECURITY": "SASL", "MECHANISM": "PLAIN"}, ["SECURITY=SASL: Invalid enum value"]),
        (PASSWORD | {"MECHANISM": "GSSAPI"}, ["MECHANISM=GSSAPI: Invalid enum value"]),
        (TOKEN | {"OAUTH_TOKEN_URL": "login"}, ["OAUTH_TOKEN_URL=login: "]),
        (PASSWORD | {"PASSWORD": ""}, ["PASSWORD=***: "]),
    ],
)
def test_invalid_combinations(variables: dict[str, str], expected: list[str]) -> None:
    """Each fault names a setting and what it needs."""
    found = faults(variables)
    assert len(found) == len(expected), found
    for fault, beginning in zip(found, expected, strict=True):
        assert fault.startswith(beginning)
