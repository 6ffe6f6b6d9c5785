"""The machine of a measurement, and the versions of all software that took part."""

import os
import platform
import re
import shutil
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Final

from benchmarks.peers.table import PEERS
from stack.jars import VERSION as KAFKA_VERSION

_OURS: Final = ("bytewax", "polars", "confluent-kafka", "psycopg", "redis", "litestar", "granian")


def machine() -> dict[str, str]:
    """Return processor, cores, memory, system and load of this machine."""
    memory = re.search(r"MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text())
    processor = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    return {
        "processor": processor[1] if processor else platform.machine(),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{int(memory[1]) / 2**20:.0f} GiB" if memory else "unknown",
        "system": f"{platform.system()} {platform.release()}",
        "load at the start": " ".join(f"{load:.1f}" for load in os.getloadavg()),
    }


def versions() -> dict[str, str]:
    """Return the versions of this system's packages, of peers and of services."""
    packages = {name: version(name) for name in _OURS}
    peers = dict(pin.split("==") for peer in PEERS for pin in peer.packages)
    jars = dict(each.split(":")[1:] for peer in PEERS for each in peer.jars)
    others = {"Kafka": KAFKA_VERSION, "Java": _java()}
    return {"Python": platform.python_version(), **packages, **peers, **jars, **others}


def _java() -> str:
    java = shutil.which("java")
    if java is None:
        return "none on PATH"
    output = subprocess.run(  # noqa: S603 - a fixed command
        [java, "-version"], capture_output=True, text=True, check=False
    ).stderr
    return output.splitlines()[0] if output else "unknown"
