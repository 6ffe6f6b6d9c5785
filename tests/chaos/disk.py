"""A small disk that can be filled: a tmpfs."""

import os
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import pytest

MIB: Final = 1 << 20

_BALLAST: Final = "ballast"
_BLOCK: Final = 4_096


class SmallDisk:
    """A context manager: a file system of `size` MiB in a folder.

    Only root may mount it. Otherwise the test is skipped, or fails if root runs it in CI.
    """

    def __init__(self, folder: Path, size: int) -> None:
        self.folder = folder
        self._size = size

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True)
        options = f"size={self._size}m,mode=0711"
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", self.folder],
            capture_output=True,
            text=True,
            check=False,
        )
        if mounted.returncode != 0:
            reason = f"a small disk can't be mounted here: {mounted.stderr.strip()}"
            if os.geteuid() == 0 and os.environ.get("CI") == "true":
                pytest.fail(reason)
            pytest.skip(reason)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # Lazily: a process that is exiting may have a file open.
        subprocess.run(["umount", "--lazy", self.folder], check=True)

    @property
    def free(self) -> int:
        """The number of free bytes."""
        stat = os.statvfs(self.folder)
        return stat.f_bavail * stat.f_frsize

    def fill(self, leaving: int = 0) -> None:
        """Use all space except for `leaving` bytes."""
        with (self.folder / _BALLAST).open("ab", buffering=0) as ballast:
            while (free := self.free - leaving) >= _BLOCK:
                ballast.write(bytes(min(free, MIB)))

    def empty(self) -> None:
        """Free the space."""
        (self.folder / _BALLAST).unlink()
