"""The instruments of the suite, each by itself: a fault that doesn't happen proves nothing."""

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from stack.ports import HOST
from tests.chaos.clock import Clock
from tests.chaos.disk import MIB, SmallDisk
from tests.chaos.link import Link

pytestmark = pytest.mark.chaos


@pytest.fixture
def echo() -> Iterator[int]:
    """Return the port of a server that sends back what it gets, to one client after the other."""
    with socket.create_server((HOST, 0)) as server:

        def serve() -> None:
            while True:
                try:
                    client, _ = server.accept()
                except OSError:
                    return
                with client:
                    while data := _received(client):
                        client.sendall(data)

        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


def _received(client: socket.socket) -> bytes:
    try:
        return client.recv(100)
    except ConnectionError:
        return b""


def test_a_frozen_link_keeps_what_it_is_given(echo: int) -> None:
    """Nothing passes while it is frozen, and everything afterwards; new connections wait too."""
    with Link(echo) as link, socket.create_connection((HOST, link.port)) as client:
        client.settimeout(10)
        client.sendall(b"before")
        assert client.recv(100) == b"before"
        link.freeze()
        client.sendall(b"during")
        client.settimeout(0.3)
        with pytest.raises(TimeoutError):
            client.recv(100)
        link.thaw()
        client.settimeout(10)
        assert client.recv(100) == b"during"
        assert link.passed == 2 * len(b"before" + b"during")


def test_a_cut_link_can_be_entered_again(echo: int) -> None:
    """The connections of the moment break; the next one is as good as new."""
    with Link(echo) as link:
        with socket.create_connection((HOST, link.port)) as client:
            client.sendall(b"before")
            assert client.recv(100) == b"before"
            link.cut()
            assert _received(client) == b""
        with socket.create_connection((HOST, link.port)) as client:
            client.sendall(b"after")
            assert client.recv(100) == b"after"


def test_a_small_disk_is_full_until_it_is_emptied(tmp_path: Path) -> None:
    """A write fails while it is filled."""
    with SmallDisk(tmp_path / "disk", 2) as disk:
        disk.fill()
        with pytest.raises(OSError, match="No space left"):
            (disk.folder / "file").write_bytes(bytes(MIB))
        disk.empty()
        (disk.folder / "file").write_bytes(bytes(MIB))
        assert disk.free == MIB
    assert not list(disk.folder.iterdir())


_TELLS_TIME = """
import sys, time
for line in sys.stdin:
    print(time.time(), time.monotonic(), flush=True)
"""


def test_a_clock_is_set_under_a_running_process(tmp_path: Path) -> None:
    """The wall clock of the process steps, forward and back; its monotonic one does not."""
    clock = Clock(tmp_path)
    with subprocess.Popen(
        [sys.executable, "-c", _TELLS_TIME],
        env=clock.environ,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:

        def offset() -> float:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write("\n")
            process.stdin.flush()
            wall, monotonic = map(float, process.stdout.readline().split())
            return wall - monotonic

        before = offset()
        clock.step(3_600)
        assert offset() - before == pytest.approx(3_600, abs=1)
        clock.step(-7_200)
        assert offset() - before == pytest.approx(-3_600, abs=1)
        assert process.stdin is not None
        process.stdin.close()
