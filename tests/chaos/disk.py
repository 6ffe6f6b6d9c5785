"""A disk so small that it can be filled: a tmpfs of its own."""

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
    """A file system of `size` MiB in a folder, for as long as it is entered.

    Only root may mount. Elsewhere the test is skipped; root under CI must have it.
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
        # Lazily: a process that is still ending may have a file open.
        subprocess.run(["umount", "--lazy", self.folder], check=True)

    @property
    def free(self) -> int:
        """How many bytes are left."""
        told = os.statvfs(self.folder)
        return told.f_bavail * told.f_frsize

    def fill(self, leaving: int = 0) -> None:
        """Take all space but `leaving` bytes."""
        with (self.folder / _BALLAST).open("ab", buffering=0) as ballast:
            while (room := self.free - leaving) >= _BLOCK:
                ballast.write(bytes(min(room, MIB)))

    def empty(self) -> None:
        """Give the space back."""
        (self.folder / _BALLAST).unlink()
