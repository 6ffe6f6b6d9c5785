"""The user that Postgres runs as: it refuses to run as root, so root runs it as another user."""

import os
import pwd
import subprocess
from pathlib import Path
from typing import Final

from stack.processes import SystemUser
from stack.service import StackStartError

_PREFERRED: Final = ("nobody", "daemon")


def find_service_user() -> SystemUser | None:
    """Return the user for a service that refuses to run as root; None if the caller is not root.

    Raises StackStartError if there is no other user.
    """
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name: entry for entry in pwd.getpwall() if entry.pw_uid != 0}
    for name in _PREFERRED:
        if name in known:
            return known[name]
    if known:
        return next(iter(known.values()))
    msg = "postgres refuses to run as root, and there is no other user in /etc/passwd"
    raise StackStartError(msg)


def can_access(user: SystemUser, path: Path) -> bool:
    """Return whether a user may enter or execute a path, by trying it as that user.

    Modes alone don't tell: there are access lists, and parent folders.
    """
    trial = subprocess.run(  # noqa: S603 - a fixed command
        ["/bin/sh", "-c", 'test -x "$1"', "sh", path],
        cwd="/",
        user=user.pw_uid,
        group=user.pw_gid,
        extra_groups=[],
        check=False,
    )
    return trial.returncode == 0
