"""One import: choose the files, send them, wait for the flow, recount what came late."""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from msgspec.structs import replace
from rich.console import Console

from broker.topics import log_name
from imports.errors import ImportRefusedError, ImportStoppedError
from imports.flow_progress import read_ends, require_group, wait_for_flow
from imports.late_trips import count_dead_letters, read_late_windows, split_ranges
from imports.recounting import LateRecount
from imports.report import ImportReport
from imports.selection import Selection, check_tables, interrupted_others, select_files
from imports.sending import FileSender
from imports.target import ImportTarget
from mobility.files import try_file_lock
from mobility.settings import TABLES
from mobility.trip_files import TripFileSet
from producer.identify import identify
from producer.schedule import Clock
from stack.import_folder import (
    ImportFolder,
    ImportRecord,
    imports_folder,
    new_import,
    read_imports,
)


@dataclass(frozen=True, slots=True)
class ImportRun:
    """An import into a running system, with the options `found` of the command line."""

    target: ImportTarget
    found: argparse.Namespace
    console: Console
    clock: Clock

    def run(self) -> ImportReport | None:
        """Import the files, from where an earlier run was.

        Returns None where there is nothing to send. Raises ImportRefusedError or BackfillError
        where it is refused, before anything is sent; ImportStoppedError; and what its parts raise.
        """
        settings = self.target.settings
        group = require_group(settings)
        with self._locked():
            with self.console.status("opening the files"):
                given = identify(self.found, refunds=settings.refunds)
            check_tables(given, {name: getattr(settings, name) for name in TABLES})
            log = log_name(settings)
            imports = [each for each in read_imports(self.target.state) if each.record.log == log]
            selection = select_files(given, self.target.files, imports, self.target.name)
            self._describe(selection)
            for line in interrupted_others(imports, selection.resumed, self.target.name):
                self.console.print(line)
            if not selection.files.files:
                return None
            return self._import(selection, log, group)

    def _import(self, selection: Selection, log: str, group: str) -> ImportReport:
        folder = selection.resumed or new_import(self.target.state)
        record = self._begin(folder, selection.files, log)
        sender = FileSender(
            self.target.settings,
            self.found,
            self.console,
            self.clock,
            is_final=self.target.workspace is not None,
        )
        summary = sender.send(record.files, folder.state_file)
        sent = folder.load_state()
        if sent is None or not sent.is_complete:
            raise ImportStoppedError
        wait_for_flow(self.target.settings, group, read_ends(self.target.settings), self.console)
        report = self._recount(record, sent.source.rows, summary)
        folder.save(replace(record, is_done=sender.is_complete(sent.source.last)))
        return report

    def _begin(self, folder: ImportFolder, files: TripFileSet, log: str) -> ImportRecord:
        """Return the record of an import, with the ends of the log before its first trip."""
        if folder.load_state() is not None:
            record = replace(folder.record, files=files)  # they may have moved
        else:
            record = ImportRecord(log, files, read_ends(self.target.settings))
        folder.save(record)
        return record

    def _recount(self, record: ImportRecord, trips: int, summary: str) -> ImportReport:
        settings = self.target.settings
        with self.console.status("looking for late trips") as status:
            late = read_late_windows(
                settings,
                record.starts,
                lambda number: status.update(f"looking for late trips: {number:,} read"),
            )
        ranges = list(split_ranges(late, settings.window_ms))
        recounted = LateRecount(settings, self.target.state, self.console).run(ranges)
        return ImportReport(
            trips=trips,
            sent=summary,
            late=int(late["trips"].sum()),
            invalid=count_dead_letters(settings, record.starts),
            recounted=recounted,
            is_shared=self.target.workspace is None,
        )

    def _describe(self, selection: Selection) -> None:
        if selection.held:
            names = ", ".join(each.path for each in selection.held)
            self.console.print(f"in the log already, and not sent again: {names}")
        if selection.resumed is not None:
            self.console.print(f"import {selection.resumed.id} into {self.target} goes on")
        elif selection.files.files:
            self.console.print(f"importing into {self.target}")
        else:
            self.console.print("nothing is sent: the log has all of these files")

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Lock the imports of the system; the lock ends with this process at the latest."""
        folder = imports_folder(self.target.state)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = try_file_lock(folder / "lock")
        if lock is None:
            msg = f"another import into {self.target} is running: wait for its end"
            raise ImportRefusedError(msg)
        with lock:
            yield
