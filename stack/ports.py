"""Ports that are saved, so that they stay the same from start to start while they are free."""

import json
import random
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from mobility.files import write_atomically

HOST: Final = "127.0.0.1"

# Below the range of Linux for outgoing connections (32768 and up), one of which could take the port
# between the check and the start of the service.
_RANDOM_RANGE: Final = range(20_000, 32_000)


def is_port_free(port: int) -> bool:
    """Return whether a service could listen on the port now."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, port))
        except OSError:
            return False
        return True


def find_free_port(taken: frozenset[int] = frozenset()) -> int:
    """Return a free port that is not in `taken`."""
    candidates = list(_RANDOM_RANGE)
    random.shuffle(candidates)
    return next(port for port in candidates if port not in taken and is_port_free(port))


def choose_ports(folder: Path, preferred: Mapping[str, int]) -> dict[str, int]:
    """Choose a free port for each name, and save it in the folder.

    In this order: the saved port, the preferred one (0: none), any.
    """
    saved = saved_ports(folder)
    chosen: dict[str, int] = {}
    for name, port in preferred.items():
        taken = frozenset((saved | chosen).values()) - {saved.get(name)}
        candidates = (saved.get(name, 0), port)
        chosen[name] = next(
            (each for each in candidates if each and each not in taken and is_port_free(each)), 0
        ) or find_free_port(frozenset(port for port in taken if port))
    write_atomically(_file(folder), json.dumps(saved | chosen))
    return chosen


def saved_ports(folder: Path) -> dict[str, int]:
    """Return the saved ports by name."""
    try:
        ports: dict[str, int] = json.loads(_file(folder).read_text())
    except FileNotFoundError:
        return {}
    return ports


def _file(folder: Path) -> Path:
    return folder / "ports.json"
