"""Ends processes that a test has started, with their children."""

import subprocess

from tests.waiting import DEADLINE


def kill_all(process: subprocess.Popen[str]) -> None:
    """Kill a process and its children at once, the parent first, as it may restart them."""
    listing = ["ps", "-o", "pid=", "--ppid", str(process.pid)]
    children = subprocess.run(listing, capture_output=True, text=True, check=False).stdout.split()
    process.kill()
    if children:
        subprocess.run(["kill", "-9", *children], capture_output=True, check=False)
    process.wait()


def stop_or_kill(process: subprocess.Popen[str]) -> None:
    """Ask a process to stop, and wait; AssertionError, and it is killed, if it does not.

    Where a test fails with its flow paused, the flow would never end and use the cores meanwhile.
    """
    with process:
        process.terminate()
        try:
            process.communicate(timeout=DEADLINE)
        except subprocess.TimeoutExpired:
            kill_all(process)
            msg = f"had to be killed, {DEADLINE:.0f} s after SIGTERM: {process.args!r}"
            raise AssertionError(msg) from None
