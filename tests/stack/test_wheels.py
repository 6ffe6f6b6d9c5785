"""The packages and binaries of the services: found, or reported with alternatives."""

import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from stack.checkout import module_environ
from stack.jars import jar_folder
from stack.java import major_version
from stack.kafka import api_versions_request
from stack.service import StackStartError, wheel_folder
from stack.service_user import can_access, find_service_user


def test_a_missing_package_says_what_to_do() -> None:
    """The message has the package and the alternatives: a URL, Docker, the lock file."""
    with pytest.raises(StackStartError) as error:
        wheel_folder("no_such_package", "redis")
    message = str(error.value)
    for word in ("no_such_package", "MOBILITY_REDIS", "just up docker", "requirements.lock"):
        assert word in message


def test_another_system_than_linux_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also with the package installed: its binaries would not run."""
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(StackStartError, match="its binaries are for Linux, and this is darwin"):
        wheel_folder("pytest", "postgres")


@pytest.mark.parametrize(
    ("output", "version"),
    [
        ('openjdk version "17.0.15" 2025-04-15', 17),
        ('Picked up JAVA_TOOL_OPTIONS: -Xmx1g\nopenjdk version "25" 2025-09-16', 25),
        ('java version "1.8.0_402"', 1),
        ("command not found", 0),
    ],
)
def test_the_version_of_java(output: str, version: int) -> None:
    """The major version is parsed from the output of Java."""
    assert major_version(output) == version


def test_an_old_java_on_path_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Java 11 on PATH can't run Kafka 4: the one of the wheel is used."""
    old = tmp_path / "java"
    old.write_text("#!/bin/sh\necho 'openjdk version \"11.0.2\"' >&2\n")
    old.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    script = "import asyncio; from stack.java import find_java; print(asyncio.run(find_java()))"
    output = subprocess.check_output(
        [sys.executable, "-c", script], env=module_environ(), text=True
    )
    assert str(tmp_path) not in output
    assert output.endswith("java-runtime/bin/java\n")


def test_the_jars_are_in_the_users_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    """XDG_CACHE_HOME changes the folder, and its name has the version."""
    monkeypatch.setenv("XDG_CACHE_HOME", "/cache")
    assert jar_folder().parent == Path("/cache/mobility-hub")


def test_the_api_versions_request() -> None:
    """It has its length, key 18, version 0, a correlation id, and no client id."""
    size, key, version, _, client = struct.unpack(">ihhih", api_versions_request())
    assert (size, key, version, client) == (10, 18, 0, -1)


def test_an_ordinary_user_needs_no_other_user(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only root uses another user, and never itself."""
    monkeypatch.setattr(os, "geteuid", lambda: 1_000)
    assert find_service_user() is None
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    found = find_service_user()
    assert found is not None
    assert found.pw_uid != 0


def test_access_is_checked_as_the_other_user(tmp_path: Path) -> None:
    """It can't access a private folder of ours."""
    other = find_service_user()
    if other is None:
        pytest.skip("only root can run a command as another user")
    assert can_access(other, Path("/bin/sh"))
    tmp_path.chmod(0o700)
    assert not can_access(other, tmp_path)
