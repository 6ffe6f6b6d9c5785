"""Kafka's jars: downloaded once from the Maven repository by jgo, into the user's cache."""

import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.progress import track

from mobility.files import file_lock

if TYPE_CHECKING:
    from jgo.maven import Artifact

VERSION: Final = "4.2.2"

_COORDINATES: Final = "+".join(
    (
        f"org.apache.kafka:kafka_2.13:{VERSION}",
        # Named, although it is a dependency: otherwise its compression codecs are not resolved.
        f"org.apache.kafka:kafka-clients:{VERSION}",
        "org.apache.logging.log4j:log4j-slf4j-impl:2.25.3",
    )
)
_ATTEMPTS: Final = 3


def jar_folder() -> Path:
    """Return the folder of the jars: it has all of them, or does not exist."""
    return cache_folder() / f"kafka-{VERSION}"


def cache_folder() -> Path:
    """Return the folder of this project in the user's cache."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "mobility-hub"


def fetch() -> None:
    """Download the jars, unless their folder exists.

    They are collected in another folder, which is then renamed, so that an interrupted download
    leaves no incomplete folder. Raises OSError or RuntimeError if a download fails.
    """
    target = jar_folder()
    target.parent.mkdir(parents=True, exist_ok=True)
    with file_lock(target.with_name(f"{target.name}.lock")):  # several processes may start at once
        if target.exists():
            return
        draft = target.with_name(f"{target.name}.part")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir()
        _download(draft / "repository", draft)
        shutil.rmtree(draft / "repository")
        draft.rename(target)


def _download(repository: Path, target: Path) -> None:
    os.environ["M2_REPO"] = str(repository)  # jgo has no other option for its folder
    import jgo  # noqa: PLC0415 - a development package, needed once per machine

    artifacts = jgo.resolve(_COORDINATES)
    console = Console(stderr=True)
    console.print(f"Kafka {VERSION}: downloading {len(artifacts)} jars, once, to {jar_folder()}")
    for artifact in track(artifacts, "Kafka", console=console):
        jar = _resolve(artifact)
        jar.replace(target / jar.name)


def _resolve(artifact: "Artifact") -> Path:
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            return artifact.resolve()
        except (OSError, RuntimeError):
            # Otherwise the next attempt would take an incomplete jar for a complete one.
            if artifact.cached_path is not None:
                artifact.cached_path.unlink(missing_ok=True)
            if attempt == _ATTEMPTS:
                raise
    raise AssertionError


def main() -> int:
    """Download the jars; print the error and return 1 if that fails."""
    try:
        fetch()
    except (OSError, RuntimeError) as error:
        sys.stderr.write(f"Kafka {VERSION} can't be downloaded: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
