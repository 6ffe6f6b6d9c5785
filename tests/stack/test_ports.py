"""Ports: stable where they can be, free always."""

import socket
from pathlib import Path

from stack.ports import HOST, any_free, choose, is_free, remembered


def taken_port() -> tuple[socket.socket, int]:
    """Return a listener and its port."""
    listener = socket.socket()
    listener.bind((HOST, 0))
    listener.listen()
    return listener, int(listener.getsockname()[1])


def test_a_port_that_is_listened_on_is_not_free() -> None:
    """A listener makes a port taken; its end makes it free again."""
    listener, port = taken_port()
    with listener:
        assert not is_free(port)
    assert is_free(port)


def test_a_preferred_port_is_chosen_where_it_is_free(tmp_path: Path) -> None:
    """The usual port is used, and remembered."""
    wish = any_free()
    assert choose(tmp_path, {"redis": wish}) == {"redis": wish}
    assert remembered(tmp_path) == {"redis": wish}


def test_a_taken_port_gives_way(tmp_path: Path) -> None:
    """Where somebody listens on the preferred port, another free one is chosen."""
    listener, port = taken_port()
    with listener:
        chosen = choose(tmp_path, {"redis": port})["redis"]
        assert chosen != port
        assert is_free(chosen)


def test_the_port_of_an_earlier_start_comes_before_the_preferred_one(tmp_path: Path) -> None:
    """URLs stay the same from one start to the next."""
    first, other = any_free(), any_free()
    choose(tmp_path, {"redis": first})
    assert choose(tmp_path, {"redis": other}) == {"redis": first}


def test_no_two_names_get_one_port(tmp_path: Path) -> None:
    """Two that want the same port, or any, get two, and what others hold stays theirs."""
    wish = any_free()
    chosen = choose(tmp_path, {"a": wish, "b": wish, "c": 0, "d": 0})
    assert len(set(chosen.values())) == len(chosen)
    later = choose(tmp_path, {"e": wish})
    assert later["e"] not in chosen.values()
    assert remembered(tmp_path) == chosen | later
