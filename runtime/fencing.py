"""The fencing token of a cluster: stores refuse a cluster that a later one has replaced.

Source: Kleppmann, "How to do distributed locking" (2016), on fencing tokens.
"""

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from mobility.settings import Settings
from runtime.failures import RefusalError, StartError
from sinks import StoreError, StoreRefusedError, take_fencing_token


def with_fencing_token(
    settings: Settings, folder: Path | None, stop_requested: Callable[[], bool]
) -> Settings:
    """Return the settings with a new fencing token, if there are stores.

    From now on the stores refuse older clusters. Raises StartError where a store does not answer:
    within seconds once a stop is requested.
    """
    if not settings.stores:
        return settings
    now = datetime.now(UTC).isoformat(timespec="seconds")
    holder = (
        f"process {os.getpid()} on {socket.gethostname()} at {now} "
        f"(recovery folder {'none' if folder is None else folder.absolute()})"
    )
    try:
        with refusals_end_the_flow():
            fence = take_fencing_token(settings, holder, stop_requested=stop_requested)
    except StoreError as error:
        raise StartError(str(error)) from error
    return msgspec.structs.replace(settings, fence=fence)


@contextmanager
def refusals_end_the_flow() -> Iterator[None]:
    """Raise RefusalError if a store refuses the flow: it would refuse it after each restart."""
    try:
        yield
    except StoreRefusedError as error:
        raise RefusalError(str(error)) from error
