"""The commands of the README, run on services that they start."""

import secrets
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import msgspec
import pytest

from benchmarks.benchmark_log import delete_topics
from benchmarks.tenant import empty_tenant, tenant_settings
from mobility.settings import Settings, to_environ
from mobility.topics import topic_table
from stack.checkout import clean_environ

ROOT = Path(__file__).parents[2]

Just = Callable[..., subprocess.CompletedProcess[str]]


def own_environment() -> dict[str, str]:
    """Return this environment without the services of the tests."""
    return clean_environ()


@pytest.fixture(scope="session")
def just(services: object) -> Just:
    """Return a function that runs a recipe; it is skipped where the services are not available."""
    del services

    def run(
        *arguments: str | Path,
        cwd: Path = ROOT,
        timeout: float = 900,
        environ: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["just", "--justfile", str(ROOT / "justfile"), *map(str, arguments)],
            cwd=cwd,
            env={**own_environment(), **(environ or {})},
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    return run


@pytest.fixture
def replay(just: Just, services: Settings) -> Iterator[Just]:
    """Return a function that runs `just replay` on an empty part of the services of the tests.

    One that starts its own services needs more CPU time for these than for some thousand trips.
    """
    with ExitStack() as parts:

        def run(*arguments: str | Path, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
            name = f"replay_{secrets.token_hex(4)}"
            settings = msgspec.structs.replace(
                tenant_settings(services, name), topic_prefix=f"{name}."
            )
            parts.enter_context(empty_tenant(services, name))
            topics = [topic.name for topic in topic_table(settings)]
            parts.callback(delete_topics, settings, topics)
            return just("replay", *arguments, cwd=cwd, environ=to_environ(settings))

        yield run
