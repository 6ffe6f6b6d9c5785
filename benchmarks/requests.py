"""Requests per second of one path with Redis, compared with a simple FastAPI service."""

import asyncio
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, Final

import httpx
import msgspec

from api.access.tokens import create_token
from benchmarks.benchmark_run import BenchmarkRun
from benchmarks.http_load import LoadResult, latency_ms, run_load
from benchmarks.peers.environments import python_with
from benchmarks.section import Section, Target
from benchmarks.service import is_listening, run_service, wait_until
from benchmarks.sinks import make_windows
from benchmarks.tenant import empty_tenant, tenant_settings
from benchmarks.timed_command import BenchmarkError
from mobility.entities import BY_NAME
from mobility.settings import Settings
from sinks.connecting import connect_authority
from stack.ports import find_free_port

_TENANT: Final = "bench_requests"
_ENTITY: Final = BY_NAME["passenger"]
_IDS: Final = 10_000
_ASKED: Final = 1_000
_CONNECTIONS: Final = (16, 64)
_WARM_SECONDS: Final = 2.0
_SECONDS: Final = 10.0
_NO_LIMIT: Final = 1_000_000
_MIN_RATIO: Final = 4.0
_TIMEOUT: Final = 30.0
_PACKAGES: Final = ("fastapi==0.165.0", "uvicorn[standard]==0.54.0", "redis[hiredis]==8.1.0")
_PEER: Final = Path(__file__).parent / "peers" / "run_fastapi.py"
_OURS: Final = "mobility-hub"
_THEIRS: Final = "fastapi"

_TEXT: Final = (
    f"`GET /metrics/passenger/<id>` with Redis and {_IDS:,} ids; each connection sends the next "
    "request after each response. Ours has tokens, rate limit, host check, CORS, security headers, "
    "ETags and metrics enabled; the other is FastAPI with a synchronous redis-py and nothing else. "
    "Both have one worker, uvloop and hiredis; the load shares the two cores with them and Redis."
)


def measure(benchmark: BenchmarkRun) -> Section:
    """Start both, check that their responses agree, and load them in turn."""
    with benchmark.runner.step("requests: FastAPI's environment"):
        python = python_with(_PACKAGES)
    token, line = create_token("bench", "all")
    tokens = benchmark.runner.folder / "tokens"
    tokens.write_text(line + "\n")
    settings = msgspec.structs.replace(
        tenant_settings(benchmark.settings, _TENANT),
        stores=("redis",),
        api_port=find_free_port(),
        api_rate=_NO_LIMIT,
        api_tokens=str(tokens),
        api_origins=("https://city.example",),
    )
    with empty_tenant(benchmark.settings, _TENANT):
        ids = _fill(settings)[:_ASKED]
        with (
            run_service(benchmark.runner, settings, "api"),
            _run_fastapi(benchmark, settings, python) as port,
        ):
            ports = {_OURS: settings.api_port, _THEIRS: port}
            requests = {name: _requests(port, ids, token) for name, port in ports.items()}
            for each in ports.values():
                wait_until(
                    partial(is_listening, each), f"a server listens on port {each}", _TIMEOUT
                )
            _check_agreement(ports, token, ids[0])
            return _section(_run_in_turn(benchmark, ports, requests))


Runs = dict[tuple[str, int], list[LoadResult]]
"""The runs of each system and number of connections."""


def _run_in_turn(
    benchmark: BenchmarkRun, ports: dict[str, int], requests: dict[str, list[bytes]]
) -> Runs:
    runs: Runs = {}
    for number in range(1, benchmark.repeat + 1):
        for connections in _CONNECTIONS:
            for name, port in ports.items():
                title = f"{name}, {connections} connections, {number} of {benchmark.repeat}"
                with benchmark.runner.step(title):
                    asyncio.run(run_load(port, requests[name], connections, _WARM_SECONDS))
                    run = asyncio.run(run_load(port, requests[name], connections, _SECONDS))
                runs.setdefault((name, connections), []).append(run)
    return runs


def _section(runs: Runs) -> Section:
    rates = {key: median(run.rate for run in each) for key, each in runs.items()}
    slowest = {key: latency_ms(each, 0.99) for key, each in runs.items()}
    middle = {key: latency_ms(each, 0.5) for key, each in runs.items()}
    rows = tuple(
        (f"`{name}`", f"{n}", f"{rates[key]:,.0f}", f"{middle[key]:.1f}", f"{slowest[key]:.1f}")
        for key in runs
        for name, n in (key,)
    )
    targets = []
    for n in _CONNECTIONS:
        faster = rates[_OURS, n] / rates[_THEIRS, n]
        targets.append(Target(f"requests/s / FastAPI's, {n} connections", faster, _MIN_RATIO))
        slower = slowest[_OURS, n] / slowest[_THEIRS, n]
        targets.append(Target(f"p99 / FastAPI's, {n} connections", slower, 1.0, most=True))
    headings = ("system", "connections", "requests/s", "p50, ms", "p99, ms")
    return Section(
        "requests", "Requests", _TEXT, headings=headings, rows=rows, targets=tuple(targets)
    )


def _fill(settings: Settings) -> list[str]:
    """Write windows with the store of the sinks; return the ids."""
    store = connect_authority(settings, "main")
    try:
        rows = make_windows(_IDS)
        store.apply(_ENTITY, rows)
        store.record_progress(_ENTITY, 0, 1, rows["window_start"].to_list()[-1])
        return rows["id"].unique(maintain_order=True).to_list()
    finally:
        store.close()


@contextmanager
def _run_fastapi(benchmark: BenchmarkRun, settings: Settings, python: Path) -> Iterator[int]:
    port = find_free_port()
    options = ["--redis", settings.redis, "--prefix", settings.redis_prefix, "--port", f"{port}"]
    log = benchmark.runner.folder / "fastapi.log"
    with (
        log.open("wb") as output,
        subprocess.Popen(  # noqa: S603 - a fixed command
            [python, _PEER, *options], stdout=output, stderr=output
        ) as process,
    ):
        try:
            yield port
        finally:
            process.terminate()


def _requests(port: int, ids: list[str], token: str) -> list[bytes]:
    head = f"Host: 127.0.0.1:{port}\r\nAuthorization: Bearer {token}\r\n\r\n"
    return [f"GET /metrics/{_ENTITY.name}/{one} HTTP/1.1\r\n{head}".encode() for one in ids]


def _check_agreement(ports: dict[str, int], token: str, entity_id: str) -> None:
    """Raise BenchmarkError if the two responses differ."""
    fields = ("id", "trip_count", "avg_duration", "total_revenue", "total_distance")
    bodies = [_get(port, token, entity_id) for port in ports.values()]
    ours, theirs = ([body[name] for name in fields] for body in bodies)
    if ours != theirs:
        msg = f"the responses of ours and of FastAPI differ: {ours}, {theirs}"
        raise BenchmarkError(msg)


def _get(port: int, token: str, entity_id: str) -> dict[str, Any]:
    url = f"http://127.0.0.1:{port}/metrics/{_ENTITY.name}/{entity_id}"
    response = httpx.get(url, headers={"Authorization": f"Bearer {token}"})
    body: dict[str, Any] = response.raise_for_status().json()
    return body
