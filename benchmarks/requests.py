"""Requests a second of one path over Redis, beside the service that people write first."""

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
from audit.steps import free_port
from benchmarks.bench import Bench
from benchmarks.load import Answered, loaded, milliseconds
from benchmarks.peers.environments import python_with
from benchmarks.running import BenchmarkError
from benchmarks.section import Section, Target
from benchmarks.service import listens, running, wait_until
from benchmarks.sinks import windows
from benchmarks.tenant import emptied, tenant
from mobility.entities import BY_NAME
from mobility.settings import Settings
from sinks.pair import connect_stores

_TENANT: Final = "bench_requests"
_ENTITY: Final = BY_NAME["passenger"]
_IDS: Final = 10_000
_ASKED: Final = 1_000
_CONNECTIONS: Final = (16, 64)
_WARM_SECONDS: Final = 2.0
_SECONDS: Final = 10.0
_NO_LIMIT: Final = 1_000_000
_LEAST: Final = 4.0
_PATIENCE: Final = 30.0
_PACKAGES: Final = ("fastapi==0.165.0", "uvicorn[standard]==0.54.0", "redis[hiredis]==8.1.0")
_PEER: Final = Path(__file__).parent / "peers" / "run_fastapi.py"
_OURS: Final = "mobility-hub"
_THEIRS: Final = "fastapi"

_TEXT: Final = (
    f"`GET /metrics/passenger/<id>` over Redis with {_IDS:,} ids, each connection asking again once"
    " it is answered. Ours has tokens, rate limit, host check, CORS, security headers, ETags and "
    "metrics on; the other is FastAPI with a synchronous redis-py and nothing else. Both have one "
    "worker, uvloop and hiredis; the load shares the two cores with them and with Redis."
)


def measure(bench: Bench) -> Section:
    """Start both, see that they agree, and load them in turn."""
    with bench.commands.step("requests: FastAPI's environment"):
        python = python_with(_PACKAGES)
    token, line = create_token("bench", "all")
    tokens = bench.commands.folder / "tokens"
    tokens.write_text(line + "\n")
    settings = msgspec.structs.replace(
        tenant(bench.settings, _TENANT),
        stores=("redis",),
        api_port=free_port(),
        api_rate=_NO_LIMIT,
        api_tokens=str(tokens),
        api_origins=("https://city.example",),
    )
    with emptied(bench.settings, _TENANT):
        ids = _fill(settings)[:_ASKED]
        with running(bench.commands, settings, "api"), _theirs(bench, settings, python) as port:
            ports = {_OURS: settings.api_port, _THEIRS: port}
            asked = {name: _requests(port, ids, token) for name, port in ports.items()}
            for each in ports.values():
                wait_until(partial(listens, each), f"port {each} is listened on", _PATIENCE)
            _agree(ports, token, ids[0])
            return _section(_in_turn(bench, ports, asked))


Runs = dict[tuple[str, int], list[Answered]]


def _in_turn(bench: Bench, ports: dict[str, int], asked: dict[str, list[bytes]]) -> Runs:
    runs: Runs = {}
    for number in range(1, bench.repeat + 1):
        for connections in _CONNECTIONS:
            for name, port in ports.items():
                title = f"{name}, {connections} connections, {number} of {bench.repeat}"
                with bench.commands.step(title):
                    asyncio.run(loaded(port, asked[name], connections, _WARM_SECONDS))
                    run = asyncio.run(loaded(port, asked[name], connections, _SECONDS))
                runs.setdefault((name, connections), []).append(run)
    return runs


def _section(runs: Runs) -> Section:
    rates = {key: median(run.rate for run in each) for key, each in runs.items()}
    slowest = {key: milliseconds(each, 0.99) for key, each in runs.items()}
    middle = {key: milliseconds(each, 0.5) for key, each in runs.items()}
    rows = tuple(
        (f"`{name}`", f"{n}", f"{rates[key]:,.0f}", f"{middle[key]:.1f}", f"{slowest[key]:.1f}")
        for key in runs
        for name, n in (key,)
    )
    targets = []
    for n in _CONNECTIONS:
        faster = rates[_OURS, n] / rates[_THEIRS, n]
        targets.append(Target(f"requests/s / FastAPI's, {n} connections", faster, _LEAST))
        slower = slowest[_OURS, n] / slowest[_THEIRS, n]
        targets.append(Target(f"p99 / FastAPI's, {n} connections", slower, 1.0, most=True))
    headings = ("system", "connections", "requests/s", "p50, ms", "p99, ms")
    return Section(
        "requests", "Requests", _TEXT, headings=headings, rows=rows, targets=tuple(targets)
    )


def _fill(settings: Settings) -> list[str]:
    """Write windows as the sinks do; return the ids."""
    store = connect_stores(settings, "main")
    try:
        rows = windows(_IDS)
        store.apply(_ENTITY, rows)
        store.record_progress(_ENTITY, 0, 1, rows["window_start"].to_list()[-1])
        return rows["id"].unique(maintain_order=True).to_list()
    finally:
        store.close()


@contextmanager
def _theirs(bench: Bench, settings: Settings, python: Path) -> Iterator[int]:
    port = free_port()
    places = ["--redis", settings.redis, "--prefix", settings.redis_prefix, "--port", f"{port}"]
    log = bench.commands.folder / "fastapi.log"
    with (
        log.open("wb") as output,
        subprocess.Popen(  # noqa: S603 - a fixed command
            [python, _PEER, *places], stdout=output, stderr=output
        ) as process,
    ):
        try:
            yield port
        finally:
            process.terminate()


def _requests(port: int, ids: list[str], token: str) -> list[bytes]:
    head = f"Host: 127.0.0.1:{port}\r\nAuthorization: Bearer {token}\r\n\r\n"
    return [f"GET /metrics/{_ENTITY.name}/{one} HTTP/1.1\r\n{head}".encode() for one in ids]


def _agree(ports: dict[str, int], token: str, entity_id: str) -> None:
    """Raise BenchmarkError where the two do not answer the same."""
    same = ("id", "trip_count", "avg_duration", "total_revenue", "total_distance")
    answers = [_answer(port, token, entity_id) for port in ports.values()]
    ours, theirs = ([answer[name] for name in same] for answer in answers)
    if ours != theirs:
        msg = f"ours and FastAPI's answers differ: {ours}, {theirs}"
        raise BenchmarkError(msg)


def _answer(port: int, token: str, entity_id: str) -> dict[str, Any]:
    url = f"http://127.0.0.1:{port}/metrics/{_ENTITY.name}/{entity_id}"
    response = httpx.get(url, headers={"Authorization": f"Bearer {token}"})
    answer: dict[str, Any] = response.raise_for_status().json()
    return answer
