"""What people are told once the trips of their files are counted."""

import asyncio
import json
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Final
from urllib.error import HTTPError
from zoneinfo import ZoneInfo

from mobility.settings import Settings
from stack.flow_status import ProcessStatus
from stack.load_state import LoadState
from stack.workspace import Workspace, WorkspaceRecord

_REQUEST_SECONDS: Final = 10.0


class LoadReport:
    """Tells once what became of the trips of a workspace, and where to look at them.

    It waits until the flow has read everything, and the stores have what it has read. In a run
    that `is_loading`, the producer has ended by then.
    """

    def __init__(self, workspace: Workspace, *, is_loading: bool) -> None:
        self._workspace = workspace
        self._is_loading = is_loading
        self._last: list[tuple[int, int | None]] = []

    async def __call__(self, settings: Settings, statuses: list[ProcessStatus]) -> str | None:
        """Return the text, or None while trips are being counted."""
        state = self._workspace.load_state()
        if state is None or not state.is_complete:
            return self._interrupted(state)
        if self._is_loading:
            self._record(state, settings)
        if not self._has_read_all(statuses):
            return None
        loads = self._workspace.loads() or state
        return await self._counted(settings, loads, _watermark(statuses) or 0)

    async def _counted(self, settings: Settings, state: LoadState, watermark: int) -> str | None:
        try:
            summary = await asyncio.to_thread(_request_summary, settings)
        except HTTPError as error:
            needs_token = error.code == HTTPStatus.UNAUTHORIZED
            return self._text(settings, state, None) if needs_token else None
        except OSError:  # the API is busy
            return None
        if _epoch_ms(summary["as_of"]) < watermark:
            return None
        return self._text(settings, state, int(summary["trip_count"]))

    def _interrupted(self, state: LoadState | None) -> str:
        sent = "no trips" if state is None else f"{state.position.row:,} of {state.source.rows:,}"
        return (
            f"loading was stopped after {sent}: Ctrl-C, and then "
            f"`just up --name {self._workspace.name}` goes on"
        )

    def _record(self, state: LoadState, settings: Settings) -> None:
        """Record that nothing is left to be sent: no trip, and nothing that completes a window."""
        record = self._workspace.record()
        lateness = settings.window + settings.allowed_lateness + settings.out_of_orderness
        is_past = state.source.last + lateness * 1_000 < datetime.now(UTC).timestamp() * 1_000
        if record is not None and not record.is_loaded and is_past:
            self._workspace.save(WorkspaceRecord(record.files, is_loaded=True))

    def _has_read_all(self, statuses: list[ProcessStatus]) -> bool:
        """Tell whether nothing was left to read, and nothing has changed, in two reports."""
        lag = sum(status.lag for status in statuses)
        present = [(status.at, status.watermark) for status in statuses]
        before, self._last = self._last, present
        is_newer = bool(before) and all(
            at > last for (at, _), (last, _) in zip(present, before, strict=False)
        )
        is_same = [watermark for _, watermark in present] == [watermark for _, watermark in before]
        is_known = not self._is_loading or _watermark(statuses) is not None
        return not lag and is_newer and is_same and is_known

    def _text(self, settings: Settings, state: LoadState, counted: int | None) -> str:
        name, sent = self._workspace.name, state.position.row
        zone = ZoneInfo(settings.timezone)
        first, last = (_time(ms, zone) for ms in (state.source.first, state.source.last))
        lines = [f"{sent:,} trips, from {first} to {last} {settings.timezone}"]
        lines += self._interrupted_imports()
        if counted is not None:
            lines.append(f"{counted:,} of them counted")
        if counted is not None and counted != sent:
            lines.append(
                f"{sent - counted:,} not counted: repeated, late (`just late list --name {name}`) "
                f"or invalid (`just dlq list --name {name}`)"
            )
        lines.append(
            f"Open http://{settings.api_host}:{settings.api_port}   Ctrl-C stops the system, "
            f"`just up --name {name}` starts it again"
        )
        return "\n".join(lines)

    def _interrupted_imports(self) -> Iterator[str]:
        name = self._workspace.name
        for record in (each.record for each in self._workspace.imports()):
            if not record.is_done:
                yield f"an import is not done: `{record.command(name)}` goes on with it"


def _request_summary(settings: Settings) -> dict[str, Any]:
    """Return the totals of all trips: each has a vehicle type, if only an unknown one."""
    url = f"http://{settings.api_host}:{settings.api_port}/summary/vehicle_type"
    with urllib.request.urlopen(url, timeout=_REQUEST_SECONDS) as response:
        found: dict[str, Any] = json.load(response)
    return found


def _watermark(statuses: list[ProcessStatus]) -> int | None:
    known = [status.watermark for status in statuses if status.watermark is not None]
    return min(known) if statuses and len(known) == len(statuses) else None


def _epoch_ms(time: str | None) -> float:
    return 0.0 if time is None else datetime.fromisoformat(time).timestamp() * 1_000


def _time(ms: int, zone: ZoneInfo) -> str:
    return f"{datetime.fromtimestamp(ms / 1_000, zone):%Y-%m-%d %H:%M}"
