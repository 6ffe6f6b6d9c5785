"""PgBouncer, a pooler between a program and Postgres."""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal

import pytest
from psycopg.conninfo import conninfo_to_dict

from stack.ports import HOST, find_free_port
from stack.service_user import find_service_user
from tests.waiting import until

PoolMode = Literal["session", "transaction", "statement"]

_PATH: Final = f"{os.defpath}:/usr/sbin"


@contextmanager
def pgbouncer(url: str, pool_mode: PoolMode, **options: str) -> Iterator[str]:
    """Run a pooler for the database of a URL, with options of its configuration.

    Yields the URL of the database behind it. Skips the test on a machine without PgBouncer.
    """
    program = shutil.which("pgbouncer", path=_PATH)
    if program is None:
        pytest.skip("no pgbouncer: install it with `apt-get install pgbouncer`")
    target = conninfo_to_dict(url)
    names = ("host", "port", "dbname", "user", "password")
    login = " ".join(f"{name}={target[name]}" for name in names)
    port = find_free_port()
    sections: dict[str, dict[str, object]] = {
        "databases": {str(target["dbname"]): login},
        "pgbouncer": {
            "listen_addr": HOST,
            "listen_port": port,
            "unix_socket_dir": "",
            # Clients need no password: the pooler logs in for them.
            "auth_type": "any",
            "pool_mode": pool_mode,
            **options,
        },
    }
    lines = [
        line
        for section, values in sections.items()
        for line in (f"[{section}]", *(f"{name} = {each}" for name, each in values.items()))
    ]
    # Not in pytest's folder, which the user that it runs as can't enter.
    with tempfile.TemporaryDirectory() as folder:
        user = find_service_user()
        configuration = Path(folder) / "pgbouncer.ini"
        configuration.write_text("\n".join(lines))
        for path in (Path(folder), configuration):
            if user is not None:
                shutil.chown(path, user.pw_uid, user.pw_gid)
        process = subprocess.Popen(
            [program, "-q", configuration],
            user=None if user is None else user.pw_uid,
            group=None if user is None else user.pw_gid,
            stderr=subprocess.DEVNULL,
        )
        try:
            until(lambda: _is_listening(port) or process.poll() is not None, "pgbouncer")
            assert process.poll() is None, "pgbouncer has ended"
            yield f"postgresql://{target['user']}@{HOST}:{port}/{target['dbname']}"
        finally:
            process.kill()
            process.wait()


def _is_listening(port: int) -> bool:
    try:
        socket.create_connection((HOST, port)).close()
    except OSError:
        return False
    return True
