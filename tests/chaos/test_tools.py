"""The tools of the suite: a fault that doesn't happen proves nothing."""

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
from tests.chaos.tcp_proxy import TcpProxy

pytestmark = pytest.mark.chaos


@pytest.fixture
def echo() -> Iterator[int]:
    """Return the port of an echo server for one client at a time."""
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


def test_a_paused_proxy_forwards_later(echo: int) -> None:
    """Nothing is forwarded during the pause, and everything afterwards."""
    with TcpProxy(echo) as proxy, socket.create_connection((HOST, proxy.port)) as client:
        client.settimeout(10)
        client.sendall(b"before")
        assert client.recv(100) == b"before"
        proxy.pause()
        client.sendall(b"during")
        client.settimeout(0.3)
        with pytest.raises(TimeoutError):
            client.recv(100)
        proxy.resume()
        client.settimeout(10)
        assert client.recv(100) == b"during"
        assert proxy.passed == 2 * len(b"before" + b"during")


def test_a_proxy_accepts_connections_after_a_disconnect(echo: int) -> None:
    """Present connections are aborted; the next one works."""
    with TcpProxy(echo) as proxy:
        with socket.create_connection((HOST, proxy.port)) as client:
            client.sendall(b"before")
            assert client.recv(100) == b"before"
            proxy.disconnect()
            assert _received(client) == b""
        with socket.create_connection((HOST, proxy.port)) as client:
            client.sendall(b"after")
            assert client.recv(100) == b"after"


def test_a_small_disk_is_full_until_it_is_emptied(tmp_path: Path) -> None:
    """A write fails while the disk is full."""
    with SmallDisk(tmp_path / "disk", 2) as disk:
        disk.fill()
        with pytest.raises(OSError, match="No space left"):
            (disk.folder / "file").write_bytes(bytes(MIB))
        disk.empty()
        (disk.folder / "file").write_bytes(bytes(MIB))
        assert disk.free == MIB
    assert not list(disk.folder.iterdir())


_PRINT_TIME = """
import sys, time
for line in sys.stdin:
    print(time.time(), time.monotonic(), flush=True)
"""


def test_the_clock_of_a_running_process_is_set(tmp_path: Path) -> None:
    """The wall clock steps, forward and back; the monotonic one does not."""
    clock = Clock(tmp_path)
    with subprocess.Popen(
        [sys.executable, "-c", _PRINT_TIME],
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
