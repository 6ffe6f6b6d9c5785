"""Ports: saved, and always free."""

import socket
from pathlib import Path

from stack.ports import HOST, choose_ports, find_free_port, is_port_free, saved_ports


def taken_port() -> tuple[socket.socket, int]:
    """Return a listening socket and its port."""
    listener = socket.socket()
    listener.bind((HOST, 0))
    listener.listen()
    return listener, int(listener.getsockname()[1])


def test_a_port_that_is_listened_on_is_not_free() -> None:
    """It is free again once the socket is closed."""
    listener, port = taken_port()
    with listener:
        assert not is_port_free(port)
    assert is_port_free(port)


def test_a_preferred_port_is_chosen_if_it_is_free(tmp_path: Path) -> None:
    """It is used, and saved."""
    preferred = find_free_port()
    assert choose_ports(tmp_path, {"redis": preferred}) == {"redis": preferred}
    assert saved_ports(tmp_path) == {"redis": preferred}


def test_a_taken_port_is_not_chosen(tmp_path: Path) -> None:
    """If another process listens on the preferred port, another free one is chosen."""
    listener, port = taken_port()
    with listener:
        chosen = choose_ports(tmp_path, {"redis": port})["redis"]
        assert chosen != port
        assert is_port_free(chosen)


def test_the_saved_port_takes_precedence_over_the_preferred_one(tmp_path: Path) -> None:
    """URLs stay the same from one start to the next."""
    first, other = find_free_port(), find_free_port()
    choose_ports(tmp_path, {"redis": first})
    assert choose_ports(tmp_path, {"redis": other}) == {"redis": first}


def test_no_two_names_get_one_port(tmp_path: Path) -> None:
    """Names with the same preferred port, or with any, get different ports, also later."""
    preferred = find_free_port()
    chosen = choose_ports(tmp_path, {"a": preferred, "b": preferred, "c": 0, "d": 0})
    assert len(set(chosen.values())) == len(chosen)
    later = choose_ports(tmp_path, {"e": preferred})
    assert later["e"] not in chosen.values()
    assert saved_ports(tmp_path) == chosen | later
