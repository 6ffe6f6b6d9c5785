"""What all tests share: the services, as the environment names them, and public trips."""

import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from benchmarks.tenant import empty_tenant, tenant_settings
from mobility.settings import Settings, read_settings

_NEEDED = ("MOBILITY_KAFKA", "MOBILITY_REDIS", "MOBILITY_POSTGRES")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let public trip files be named, and how hard the API's contract is tried."""
    parser.addoption(
        "--examples",
        default=25,
        type=int,
        metavar="N",
        help="what the API's contract is tried with: N examples an operation",
    )
    parser.addoption(
        "--public-trips", type=Path, metavar="DIR", help="folder with public trip data sets"
    )


@pytest.fixture(scope="session")
def public_trips(request: pytest.FixtureRequest) -> Path:
    """Return the folder of public trip data sets; skip where none is named."""
    folder = request.config.getoption("--public-trips")
    if folder is None:
        pytest.skip("no public trip data: name its folder with --public-trips DIR")
    assert isinstance(folder, Path)
    return folder.resolve()


@pytest.fixture(scope="session")
def services() -> Settings:
    """Return settings that point at running services: `python -m stack run -- pytest` starts them.

    Without them a test is skipped; under CI that would hide a hole, so there it fails.
    """
    missing = [name for name in _NEEDED if name not in os.environ]
    if missing:
        reason = f"{', '.join(missing)} not set: run the tests with `just test`"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return read_settings(os.environ)


@pytest.fixture
def settings(services: Settings) -> Iterator[Settings]:
    """Return settings with keys and a schema of their own in both stores."""
    name = f"test_{secrets.token_hex(4)}"
    with empty_tenant(services, name):
        yield msgspec.structs.replace(tenant_settings(services, name), stores=("redis", "postgres"))
