"""Kafka's jars: fetched once from the Maven repository by jgo, kept in the user's cache."""

import fcntl
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.progress import track

if TYPE_CHECKING:
    from jgo.maven import Artifact

VERSION: Final = "4.2.2"

_COORDINATES: Final = "+".join(
    (
        f"org.apache.kafka:kafka_2.13:{VERSION}",
        # Named although the broker brings it: else the resolver leaves out its compression codecs.
        f"org.apache.kafka:kafka-clients:{VERSION}",
        "org.apache.logging.log4j:log4j-slf4j-impl:2.25.3",
    )
)
_ATTEMPTS: Final = 3


def jar_folder() -> Path:
    """Return the folder that the jars are in, or will be: whole, or not there at all."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "mobility-hub" / f"kafka-{VERSION}"


def fetch() -> None:
    """Download the jars into their folder, unless they are there.

    They are gathered beside it and moved as a whole, so that an interrupted download leaves
    nothing that looks like a jar. Raises OSError or RuntimeError where one can't be had.
    """
    target = jar_folder()
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.with_name(f"{target.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # several stacks may start at once
        if target.exists():
            return
        draft = target.with_name(f"{target.name}.part")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir()
        _download(draft / "repository", draft)
        shutil.rmtree(draft / "repository")
        draft.rename(target)


def _download(repository: Path, target: Path) -> None:
    os.environ["M2_REPO"] = str(repository)  # the only way to tell jgo where to keep what it gets
    import jgo  # noqa: PLC0415 - a development package, needed once a machine

    artifacts = jgo.resolve(_COORDINATES)
    console = Console(stderr=True)
    console.print(f"Kafka {VERSION}: fetching {len(artifacts)} jars, once, into {jar_folder()}")
    for artifact in track(artifacts, "Kafka", console=console):
        jar = _resolved(artifact)
        jar.replace(target / jar.name)


def _resolved(artifact: "Artifact") -> Path:
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            return artifact.resolve()
        except (OSError, RuntimeError):
            # Half a jar would pass for a whole one at the next attempt.
            if artifact.cached_path is not None:
                artifact.cached_path.unlink(missing_ok=True)
            if attempt == _ATTEMPTS:
                raise
    raise AssertionError


def main() -> int:
    """Fetch the jars; say why not and return 1 where that fails."""
    try:
        fetch()
    except (OSError, RuntimeError) as error:
        sys.stderr.write(f"Kafka {VERSION} can't be downloaded: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
