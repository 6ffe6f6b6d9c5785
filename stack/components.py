"""The components of the system, which `just up` runs on the services, and their order."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from mobility.settings import TABLES, Settings
from stack.checkout import ROOT, module_environ
from stack.flow_status import FlowStatusReader
from stack.ports import HOST, choose_ports

SAMPLE: Final = ROOT / "data"
"""The sample data: a day of trips, and its tables."""

STOP_ORDER: Final = ("producer", "audit", "flow", "api", "topics")
"""First the input stops, then the flow finishes, and the API is available until the end."""

_RESPONSE_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True)
class SystemComponent:
    """A program of the system: `python -m <argv>`.

    It `runs` once before the next one starts, `until done` or `forever`; any other end is a crash.
    `is_ready` tells when the next one may start (None: at once), within `start_limit` seconds; a
    stop may take `grace` seconds. The output of one that `is_shown` goes to the terminal, not to a
    log, and it starts after the others.
    """

    name: str
    argv: tuple[str, ...]
    runs: Literal["once", "until done", "forever"] = "forever"
    is_ready: Callable[[], Awaitable[bool]] | None = None
    start_limit: float = 60.0
    grace: float = 20.0
    url: str = ""
    is_shown: bool = False


def system_components(folder: Path, settings: Settings) -> tuple[SystemComponent, ...]:
    """Return the components of the sample city, in the order of their start."""
    trips = str(SAMPLE / "trips.parquet")
    state = str(folder / "producer.json")
    replay = (trips, "--rebase", "now", "--density", "1", "--state", state)
    producer = SystemComponent("producer", ("producer", *replay), runs="until done", grace=30.0)
    return (*consumers(folder, settings), producer)


def consumers(folder: Path, settings: Settings) -> tuple[SystemComponent, ...]:
    """Return the components that are there before the first trip, in the order of their start."""
    api = f"http://{settings.api_host}:{settings.api_port}"

    async def api_responds() -> bool:
        return await _responds(settings.api_host, settings.api_port)

    async def audit_listens() -> bool:
        return not settings.audit_port or await _responds(HOST, settings.audit_port)

    async def flow_reports() -> bool:
        return bool(FlowStatusReader(Path(settings.status_dir or folder / "status")).statuses())

    return (
        SystemComponent("topics", ("broker.topic_setup",), runs="once"),
        SystemComponent(
            "flow", ("dataflows", "-r", str(folder / "recovery")), is_ready=flow_reports, grace=60.0
        ),
        SystemComponent("api", ("api",), is_ready=api_responds, url=api),
        SystemComponent(
            "audit",
            ("audit.watch", "--records", str(folder / "backfills")),
            is_ready=audit_listens,
        ),
    )


def system_environ(folder: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of the components: the caller's variables, and defaults for others."""
    defaults = {
        "MOBILITY_ENRICHED": "all",
        **{f"MOBILITY_{table.upper()}": str(SAMPLE / f"{table}.parquet") for table in TABLES},
    }
    return component_environ(folder, {**defaults, **environ})


def component_environ(folder: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of components that have their state in a folder.

    The caller's variables come first, but for where our modules are.
    """
    defaults = {
        "MOBILITY_STORES": "redis,postgres",
        "MOBILITY_STATUS_DIR": str(folder / "status"),
        "MOBILITY_RECOVERY_DIR": str(folder / "recovery"),
    }
    for name, port in (("API", 8_000), ("METRICS", 9_100), ("AUDIT", 9_200)):
        if f"MOBILITY_{name}_PORT" not in environ:
            chosen = choose_ports(folder, {name.lower(): port})
            defaults[f"MOBILITY_{name}_PORT"] = str(chosen[name.lower()])
    return {"PYTHONUNBUFFERED": "1", **defaults, **module_environ(environ)}


async def _responds(host: str, port: int) -> bool:
    try:
        async with asyncio.timeout(_RESPONSE_SECONDS):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                writer.write(f"GET /health HTTP/1.0\r\nHost: {host}\r\n\r\n".encode())
                return (await reader.readline()).startswith(b"HTTP/")
            finally:
                writer.close()
    except OSError:  # TimeoutError is one
        return False
