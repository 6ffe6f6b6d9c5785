"""A backfill that is killed at a chosen place."""

from typing import Final

KILLED: Final = """
import os, pkgutil, signal, sys
from backfill.command import main
owner, _, name = sys.argv[1].rpartition(".")
setattr(pkgutil.resolve_name(owner), name, lambda *_: os.kill(os.getpid(), signal.SIGKILL))
main(sys.argv[2:])
"""
"""A program for `python -c`: a function, where it is killed, then the arguments of a backfill."""
