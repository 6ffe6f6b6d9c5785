"""A Python environment for each peer, created by uv and kept in the user's cache."""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

from benchmarks.timed_command import BenchmarkError
from mobility.files import file_lock

if TYPE_CHECKING:
    from jgo.maven import Artifact

_READY: Final = "ready"


def python_with(packages: tuple[str, ...]) -> Path:
    """Return the Python of an environment with these packages; create it if it does not exist.

    Raises BenchmarkError if that fails.
    """
    if not packages:
        return Path(sys.executable)
    name = packages[0].partition("==")[0]
    pins = hashlib.sha256("\n".join(packages).encode()).hexdigest()[:8]
    target = _folder() / f"{name}-{pins}"
    with _lock(target):
        if not (target / _READY).exists():
            shutil.rmtree(target, ignore_errors=True)
            version = f"{sys.version_info.major}.{sys.version_info.minor}"
            _uv("venv", "--quiet", "--python", version, str(target))
            _uv("pip", "install", "--quiet", "--python", str(target), *packages)
            (target / _READY).touch()
    return target / "bin" / "python"


def jar(coordinates: str) -> Path:
    """Return a jar by its Maven coordinates; download it once. Raises BenchmarkError."""
    _, artifact, version = coordinates.split(":")
    target = _folder() / f"{artifact}-{version}.jar"
    with _lock(target):
        if not target.exists():
            repository = _folder() / "repository"
            os.environ["M2_REPO"] = str(repository)  # jgo has no other option for its folder
            import jgo  # noqa: PLC0415 - a development package, needed once per machine

            try:
                artifacts = jgo.resolve(coordinates)
                _named(target.name, artifacts).replace(target)
            except (OSError, RuntimeError) as error:
                msg = f"{coordinates} can't be downloaded: {error}"
                raise BenchmarkError(msg) from error
            shutil.rmtree(repository, ignore_errors=True)
    return target


def _named(name: str, artifacts: "list[Artifact]") -> Path:
    for artifact in artifacts:
        path = artifact.resolve()
        if path.name == name:
            return path
    msg = "the repository does not have it"
    raise RuntimeError(msg)


def _uv(*arguments: str) -> None:
    uv = Path(sys.executable).with_name("uv")
    done = subprocess.run(  # noqa: S603 - a fixed command
        [uv, *arguments], check=False, capture_output=True, text=True
    )
    if done.returncode:
        msg = f"uv {' '.join(arguments)} failed:\n{done.stderr.strip()}"
        raise BenchmarkError(msg)


def _folder() -> Path:
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(cache) / "mobility-hub" / "peers"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _lock(target: Path) -> IO[str]:
    # Several runs may start at once.
    return file_lock(target.with_name(f"{target.name}.lock"))
