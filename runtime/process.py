"""The start of a process of a flow: everything that it starts beside Bytewax is started here."""

import gc
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn

from mobility.settings import Settings, SettingsError, read_settings
from runtime.failures import RefusalError, StartError, exit_refused, exit_without_traceback
from runtime.fencing import with_fencing_token
from runtime.flow_metrics import FlowMetrics
from runtime.flows import FlowName, input_topics
from runtime.folder_record import FolderRecord, read_record
from runtime.metrics_endpoint import serve_metrics
from runtime.recovery import (
    NO_RECOVERY,
    RecoveryInfo,
    delete_unreachable_snapshots,
    stored_keys,
)
from runtime.recovery_lock import RecoveryLock, is_locked_by, lock_folder
from runtime.rules_in_force import update_rules
from runtime.signals import (
    is_flow_process,
    stop_on_signals,
    stop_requested,
    stop_with_launcher,
)
from runtime.status_reporter import StatusReporter
from runtime.store_sequence import check_stores
from runtime.wall_clock import exit_when_clock_is_set
from sinks import LedgerMaintenance, StatusPublisher

_OBJECTS_PER_COLLECTION: Final = 100_000

_locks: Final[list[RecoveryLock]] = []
"""Keeps the folder of a flow that runs without the launcher locked while the process lives."""


@dataclass(frozen=True, slots=True)
class FlowContext:
    """What the steps of a flow share in one process; `metrics` are by input topic."""

    flow: FlowName
    settings: Settings
    recovery: RecoveryInfo
    metrics: Mapping[str, FlowMetrics]
    reporter: StatusReporter


def flow_context(
    flow: FlowName, settings: Settings, recovery: RecoveryInfo = NO_RECOVERY
) -> FlowContext:
    """Return the context of a flow; nothing is started."""
    number = process_number()
    folder = None
    if flow == "main" and settings.status_dir is not None:
        folder = Path(settings.status_dir)
    metrics = {topic: FlowMetrics(number, folder) for topic in input_topics(flow, settings)}
    reporter = StatusReporter(flow, number, metrics, counted_since=recovery.counted_since)
    return FlowContext(flow, settings, recovery, metrics, reporter)


def start_process(flow: FlowName) -> FlowContext:
    """Return what a flow is built from; exit with 2, and the remedy, where it may not run.

    In a process that `python -m bytewax.run` started, this starts what runs beside the flow: signal
    handlers, the check of the wall clock, the endpoint for metrics and the publisher of the status.
    Without the launcher it also locks the recovery folder. Imported by anything else, a flow leaves
    its host alone.
    """
    settings = read_settings_or_exit()
    if not is_flow_process():
        return flow_context(flow, settings)
    exit_without_traceback()
    stop_on_signals()
    exit_when_clock_is_set()
    _collect_garbage_rarely()
    try:
        settings, recovery = _lock_recovery(flow, settings)
        context = flow_context(flow, settings, recovery)
        if flow == "main":
            for metrics in context.metrics.values():
                serve_metrics(metrics, settings)
        StatusPublisher(settings, context.reporter.name, context.reporter.status_record).start()
        LedgerMaintenance(settings).start()
    except RefusalError as error:
        exit_refused(str(error))
    except StartError as error:
        sys.stderr.write(f"{error}\n")
        raise SystemExit(1) from None
    return context


def read_settings_or_exit() -> Settings:
    """Return the settings; if they are invalid, print every fault and exit with 2."""
    try:
        return read_settings(os.environ)
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        raise SystemExit(2) from None


def process_number() -> int:
    """Return the number of this process in its cluster, as Bytewax was told."""
    return int(_option("-i", "--process-id", "BYTEWAX_PROCESS_ID") or 0)


def _collect_garbage_rarely() -> None:
    """Collect garbage once in some batches instead of thirty times in each.

    The messages of a batch are many, live short and refer to nothing: visiting them, and all the
    modules, took a twelfth of the flow's time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_OBJECTS_PER_COLLECTION)


def _lock_recovery(flow: FlowName, settings: Settings) -> tuple[Settings, RecoveryInfo]:
    """Check that this process may use its recovery folder; return what earlier runs have stored."""
    option = _option("-r", "--recovery-directory", "BYTEWAX_RECOVERY_DIRECTORY")
    folder = None if option is None else Path(option)
    if settings.cluster:
        if folder is None or not is_locked_by(folder, settings.cluster):
            _refuse_token(folder)
        stop_with_launcher()
    else:
        if settings.stores and _option("-a", "--addresses", "BYTEWAX_ADDRESSES") is not None:
            _refuse_unsupervised_cluster()
        # In a cluster without stores the first process locks the folder: the others wait for it.
        if folder is not None and process_number() == 0:
            _locks.append(lock_folder(folder, FolderRecord.of(flow, settings)))
            delete_unreachable_snapshots(folder)
            if flow == "main":
                update_rules(folder, settings)
        settings = with_fencing_token(settings, folder, stop_requested)
        if folder is not None and process_number() == 0:
            check_stores(folder, flow, settings)
    return settings, NO_RECOVERY if folder is None else _recovery_info(folder, flow, settings)


def _recovery_info(folder: Path, flow: FlowName, settings: Settings) -> RecoveryInfo:
    record = read_record(folder, FolderRecord.of(flow, settings))
    return RecoveryInfo(folder, stored_keys(folder), {} if record is None else record.counted_since)


def _refuse_token(folder: Path | None) -> NoReturn:
    msg = (
        f"MOBILITY_CLUSTER does not belong to the cluster that has locked {folder}.\n"
        "Only the launcher sets it: leave it unset."
    )
    raise RefusalError(msg)


def _refuse_unsupervised_cluster() -> NoReturn:
    msg = (
        "Processes started one by one (`-a`) may not write to stores: they are not restarted "
        "together, and a second cluster is not prevented.\n"
        "Start them with `python -m dataflows -r DIR --processes N`, or without stores "
        "(MOBILITY_STORES=)."
    )
    raise RefusalError(msg)


def _option(short: str, long: str, variable: str) -> str | None:
    """Return an option as Bytewax reads it: from its command line, else from the environment."""
    arguments = sys.argv[1:]
    for index, argument in enumerate(arguments):
        name, equals, value = argument.partition("=")
        if name == long and equals:
            return value
        if argument in {short, long} and index + 1 < len(arguments):
            return arguments[index + 1]
        if argument.startswith(short) and len(argument) > len(short) and argument[1] != "-":
            return argument[len(short) :]
    return os.environ.get(variable)
