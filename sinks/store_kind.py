"""What the flow needs of a store beside its windows: an object for each name in MOBILITY_STORES."""

from collections.abc import Mapping
from contextlib import closing
from typing import Protocol

import msgspec

from mobility.settings import Settings
from sinks.retry import StopRequested, no_stop
from sinks.status_writers import StatusWriter
from sinks.store import SequenceNumber, WindowStore, WriterRole, check_numbers


class StoreKind(Protocol):
    """A name in MOBILITY_STORES, as the registry has it. All methods raise StoreError.

    `linger` is for how many seconds a batch waits for further windows: 0 where a commit is cheap.
    """

    linger: float

    def connect(
        self, settings: Settings, writer: WriterRole, *, stop_requested: StopRequested = no_stop
    ) -> WindowStore:
        """Connect as `writer`; raise where the store was filled with other settings."""
        ...

    def take_fencing_token(
        self,
        settings: Settings,
        holder: str,
        writer: WriterRole | None,
        offered: int,
        stop_requested: StopRequested,
    ) -> int:
        """Take a token not below `offered` and above all earlier ones, and return it.

        From then on the store refuses flows with lower ones, and names the `holder`.
        """
        ...

    def fencing_token(self, settings: Settings) -> int:
        """Return the token that was taken last. Raises within seconds where nobody answers."""
        ...

    def check_sequence_numbers(
        self, settings: Settings, writer: WriterRole, known: Mapping[str, SequenceNumber]
    ) -> None:
        """Raise StoreBehindError where the store is behind a `known` number, by entity."""
        ...

    def status_writer(self, settings: Settings) -> StatusWriter | None:
        """Return what publishes status records to the store; None where nothing reads them."""
        ...


class FencedStore(WindowStore, Protocol):
    """A store whose connections also give out fencing tokens."""

    def take_fencing_token(self, offered: int, holder: str) -> int:
        """Take a token not below `offered` and above all earlier ones, and return it."""
        ...

    def fencing_token(self) -> int:
        """Return the token that was taken last, 0 where there is none."""
        ...


class Connect(Protocol):
    """Connects to a store; what it raises and when is that of `StoreKind.connect`."""

    def __call__(
        self, settings: Settings, writer: WriterRole, *, stop_requested: StopRequested = ...
    ) -> FencedStore:
        """Return the store."""
        ...


class FencedStoreKind:
    """The kind of a store of which nothing more is known than how to connect."""

    def __init__(self, connect: Connect, *, linger: float = 0) -> None:
        """Connect with `connect`; let batches wait for `linger` seconds."""
        self.linger = linger
        self._connect = connect

    def connect(
        self, settings: Settings, writer: WriterRole, *, stop_requested: StopRequested = no_stop
    ) -> WindowStore:
        """Connect as `writer`."""
        return self._connect(settings, writer, stop_requested=stop_requested)

    def take_fencing_token(
        self,
        settings: Settings,
        holder: str,
        writer: WriterRole | None,
        offered: int,
        stop_requested: StopRequested,
    ) -> int:
        """Take a token over a connection that checks none."""
        settings = msgspec.structs.replace(settings, fence=None)
        with closing(
            self._connect(settings, writer or "main", stop_requested=stop_requested)
        ) as store:
            return store.take_fencing_token(offered, holder)

    def fencing_token(self, settings: Settings) -> int:
        """Return the token that was taken last. The first failure is final."""
        settings = msgspec.structs.replace(settings, fence=None)
        with closing(self._connect(settings, "main", stop_requested=lambda: True)) as store:
            return store.fencing_token()

    def check_sequence_numbers(
        self, settings: Settings, writer: WriterRole, known: Mapping[str, SequenceNumber]
    ) -> None:
        """Raise StoreBehindError where the store is behind a known number."""
        with closing(self._connect(settings, writer)) as store:
            check_numbers(f"The store {store.kind}", known, store.sequence_number)

    def status_writer(self, settings: Settings) -> StatusWriter | None:  # noqa: ARG002 - it has none
        """Return None."""
        return None
