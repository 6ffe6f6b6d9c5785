"""The stores of a flow: its fencing token, the context of its sinks, and its status there.

A store that refuses this cluster refuses it for good, so a StoreRefusedError becomes a
RefusalError, after which the launcher does not restart the flow.
"""

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from dataflows.account import Account
from dataflows.failures import RefusalError, StartError
from mobility.settings import Settings
from sinks import (
    SinkContext,
    StatusPublisher,
    StoreError,
    StoreRefusedError,
    store_sinks,
    take_fencing_token,
)

__all__ = ["sink_context", "status_publisher", "store_sinks", "with_fencing_token"]


def with_fencing_token(settings: Settings, folder: Path | None) -> Settings:
    """Return the settings with a new fencing token, or as they are where they have no stores.

    Clusters with older tokens are refused from now on. Raises StartError where a store does not
    answer, and RefusalError where it refuses this cluster.
    """
    if not settings.stores:
        return settings
    now = datetime.now(UTC).isoformat(timespec="seconds")
    holder = (
        f"process {os.getpid()} on {socket.gethostname()} at {now} "
        f"(recovery folder {'none' if folder is None else folder.absolute()})"
    )
    try:
        with _translate_errors():
            return msgspec.structs.replace(settings, fence=take_fencing_token(settings, holder))
    except StoreError as error:
        raise StartError(str(error)) from error


def sink_context(account: Account, stop_requested: Callable[[], bool]) -> SinkContext:
    """Return what all store sinks of this process share; they report to `account`."""
    return SinkContext(
        stop_requested=stop_requested,
        on_write=account.note_written,
        on_snapshot=account.note_snapshot,
        translate_errors=_translate_errors,
    )


def status_publisher(settings: Settings, account: Account) -> StatusPublisher:
    """Return the publisher of this process's status; it is not started yet."""
    return StatusPublisher(settings, account.name, account.record)


@contextmanager
def _translate_errors() -> Iterator[None]:
    try:
        yield
    except StoreRefusedError as error:
        raise RefusalError(str(error)) from error
