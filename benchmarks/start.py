"""Start-up times: the import of the flow, and `just up` to the first window served."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from statistics import median
from typing import Final

from benchmarks.benchmark_run import BenchmarkRun
from benchmarks.section import Section, Target
from benchmarks.timed_command import BenchmarkError, command_error, run_timed
from stack.checkout import clean_environ
from stack.services import discard_folder

_IMPORTS: Final = 5
_MAX_IMPORT: Final = 1.0
_MAX_UP: Final = 30.0
_UP_TIMEOUT: Final = 180.0
_STOP_SECONDS: Final = 60.0
_POLL_SECONDS: Final = 0.05
_URL: Final = re.compile(r"http://127\.0\.0\.1:\d+")

_TEXT: Final = (
    "From the command to the end of `import dataflows.main`; and from `just up`, warm (its second "
    "start in the same folder), to the first response of the API that counts a trip."
)


def measure(benchmark: BenchmarkRun) -> Section:
    """Measure both, the import several times."""
    environ = clean_environ(benchmark.runner.environ)
    folder = benchmark.runner.folder
    with benchmark.runner.step("import dataflows.main"):
        command = [sys.executable, "-c", "import dataflows.main"]
        times = [
            run_timed(command, folder / "import.log", environ=environ).seconds
            for _ in range(_IMPORTS)
        ]
    ups = []
    try:
        for which in ("cold", "warm"):
            with benchmark.runner.step(f"just up, {which}"):
                ups.append(_time_up(folder / "up", environ))
    finally:
        # Also outside the folder, where Postgres may have its data.
        asyncio.run(discard_folder(folder / "up"))
    targets = (
        Target("import dataflows.main, s", median(times), _MAX_IMPORT, most=True),
        Target("just up, warm, to the first window served, s", ups[-1], _MAX_UP, most=True),
    )
    return Section("start", "Start", _TEXT, targets=targets)


def _time_up(folder: Path, environ: dict[str, str]) -> float:
    """Start the system in a folder and stop it; return the seconds until it served a trip."""
    folder.mkdir(exist_ok=True)
    log = folder.with_name("up.log")
    command = [sys.executable, "-m", "stack.up", "native", "--folder", str(folder)]
    began = time.monotonic()
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - the project's own module
            command,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            process_group=0,
        )
    try:
        while not _serves_trip(log):
            if process.poll() is not None or time.monotonic() - began > _UP_TIMEOUT:
                raise command_error(command, "did not serve a trip", log)
            time.sleep(_POLL_SECONDS)
        return time.monotonic() - began
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            msg = f"just up did not stop within {_STOP_SECONDS:.0f} s of Ctrl-C"
            raise BenchmarkError(msg) from None


def _serves_trip(log: Path) -> bool:
    url = _URL.search(log.read_text("utf-8", "replace"))
    if url is None:
        return False
    try:
        with urllib.request.urlopen(  # noqa: S310 - our own server
            f"{url[0]}/metrics/vehicle_type/scooter", timeout=5
        ) as reply:
            return int(json.load(reply)["trip_count"]) > 0
    except (urllib.error.URLError, OSError):
        return False
