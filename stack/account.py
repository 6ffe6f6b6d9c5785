"""As whom Postgres runs: it refuses to run as root, so root lends it an account."""

import os
import pwd
import subprocess
from pathlib import Path
from typing import Final

from stack.processes import Account
from stack.service import StartError

_PREFERRED: Final = ("nobody", "daemon")


def service_account() -> Account | None:
    """Return the account to run a service as that refuses root; None for an ordinary user.

    Raises StartError where root knows of no other account.
    """
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name: entry for entry in pwd.getpwall() if entry.pw_uid != 0}
    for name in _PREFERRED:
        if name in known:
            return known[name]
    if known:
        return next(iter(known.values()))
    msg = "postgres refuses to run as root, and there is no other account in /etc/passwd"
    raise StartError(msg)


def reaches(account: Account, path: Path) -> bool:
    """Tell whether the account may enter or run the path, by trying as that account.

    Asking the system beats computing it from modes: there are access lists, and folders above.
    """
    trial = subprocess.run(  # noqa: S603 - a fixed command
        ["/bin/sh", "-c", 'test -x "$1"', "sh", path],
        cwd="/",
        user=account.pw_uid,
        group=account.pw_gid,
        extra_groups=[],
        check=False,
    )
    return trial.returncode == 0
