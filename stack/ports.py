"""Ports that stay the same from one start to the next, as long as nobody else takes them."""

import json
import random
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Final

HOST: Final = "127.0.0.1"

# Below the range that Linux gives to outgoing connections (32768 and up), one of which could
# otherwise take the port between our look and the service's start.
_RANDOM_RANGE: Final = range(20_000, 32_000)


def is_free(port: int) -> bool:
    """Tell whether a service could listen on the port now."""
    with socket.socket() as attempt:
        attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            attempt.bind((HOST, port))
        except OSError:
            return False
        return True


def any_free(taken: frozenset[int] = frozenset()) -> int:
    """Return a free port that is not in `taken`."""
    candidates = list(_RANDOM_RANGE)
    random.shuffle(candidates)
    return next(port for port in candidates if port not in taken and is_free(port))


def choose(folder: Path, preferred: Mapping[str, int]) -> dict[str, int]:
    """Choose a free port for each name, and remember it in the folder.

    In order: the port of an earlier start, the preferred one (0: none), any.
    """
    known = remembered(folder)
    chosen: dict[str, int] = {}
    for name, port in preferred.items():
        taken = frozenset((known | chosen).values()) - {known.get(name)}
        wishes = (known.get(name, 0), port)
        chosen[name] = next(
            (wish for wish in wishes if wish and wish not in taken and is_free(wish)), 0
        ) or any_free(frozenset(port for port in taken if port))
    draft = folder / "ports.json.new"
    draft.write_text(json.dumps(known | chosen))
    draft.replace(_file(folder))
    return chosen


def remembered(folder: Path) -> dict[str, int]:
    """Return the ports of earlier starts by name."""
    try:
        ports: dict[str, int] = json.loads(_file(folder).read_text())
    except FileNotFoundError:
        return {}
    return ports


def _file(folder: Path) -> Path:
    return folder / "ports.json"
