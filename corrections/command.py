"""The commands `just dlq` and `just late`: list, show and replay rejected messages."""

import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from rich.console import Console

from broker.errors import BrokerError, DeliveryError
from broker.topic_reader import OnProgress
from broker.value_format import value_format
from corrections.details import print_message, write_raw
from corrections.json_lines import CorrectedTrip, InvalidLinesError, read_corrected_trips
from corrections.listing import ListSummary, newest, print_json_lines, print_table
from corrections.options import DEFAULT_LIMIT, CorrectionOptions, parse_options
from corrections.private_files import create_private_file
from corrections.rejected_topic import MessageFilter, RejectedTopic
from corrections.replay import MessageReplayer, ReplayRefusedError, ReplayRequest, ReplayResult
from mobility.settings import Settings, SettingsError, read_settings
from mobility.topics import trips_topic

_WIDTH_WITHOUT_TERMINAL: Final = 160
_MAX_LINES: Final = 20
_UNUSABLE: Final = (SettingsError, BrokerError, OSError)
"""The errors that end a command with 2: it could not begin."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return 0, 1 where nothing matched or was refused, 2 for wrong use."""
    options = parse_options(arguments)
    errors = Console(stderr=True, highlight=False)
    try:
        settings = read_settings(os.environ)
        with _progress(errors, options) as on_progress:
            code = _COMMANDS[options.command](options, settings, on_progress, errors)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader of stdout has ended. What is left in the buffer must not fail at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        _print(errors, "stopped; what was not marked can be replayed again, each trip counts once")
        return 130
    except (*_UNUSABLE, ReplayRefusedError, InvalidLinesError, DeliveryError) as error:
        _print(errors, _error_text(error))
        return 2 if isinstance(error, _UNUSABLE) else 1
    return code


def _error_text(error: Exception) -> str:
    if isinstance(error, ReplayRefusedError | InvalidLinesError):
        return f"{_first_lines(str(error).splitlines())}\nNothing was sent."
    if isinstance(error, DeliveryError):
        return f"{error}. Nothing was marked: replay again, each trip counts once."
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return str(error)


def list_messages(
    options: CorrectionOptions, settings: Settings, on_progress: OnProgress, errors: Console
) -> int:
    """List rejected messages; return 1 where there is none to list."""
    topic = RejectedTopic(settings, options.kind, on_progress)
    summary = ListSummary()
    messages = (
        each
        for each in summary.count_all(topic.find(options.selected))
        if options.with_replayed or each.replayed is None
    )
    form = value_format(settings) if options.with_values else None
    if options.as_json and options.limit is None:
        shown = print_json_lines(messages, form)
    elif options.as_json:
        rows = newest(messages, options.limit or 0)
        shown = print_json_lines(rows, form)
    else:
        rows = newest(summary.count_shown(messages), options.limit or DEFAULT_LIMIT)
        shown = len(rows)
        if rows:
            print_table(_output(), options.kind, rows, summary)
    if topic.foreign:
        name, source = options.kind.topic(settings), trips_topic(settings)
        _print(errors, f"{name} holds {topic.foreign:,} messages without a position in {source}")
    if not shown:
        replayed = summary.replayed.total()
        hidden = f" to show: {replayed:,} were replayed, --all shows them" if replayed else ""
        _print(errors, f"no {options.kind.noun}{hidden}")
    return 0 if shown else 1


def show_message(
    options: CorrectionOptions, settings: Settings, on_progress: OnProgress, errors: Console
) -> int:
    """Show one rejected message; return 1 where there is none, or no value to write."""
    (position,) = options.selected.positions
    if options.raw and sys.stdout.isatty():
        _print(
            errors,
            "--raw: stdout is a terminal, and the bytes may control it: use a pipe or --out",
        )
        return 2
    topic = RejectedTopic(settings, options.kind, on_progress)
    listed = next(topic.find(MessageFilter(positions=frozenset([position]))), None)
    if listed is None:
        _print(errors, f"{position}: no such message in {options.kind.topic(settings)}")
        return 1
    value = listed.message.value
    if options.as_json:
        print_json_lines([listed], value_format(settings))
    elif not options.raw and options.out is None:
        print_message(_output(), listed)
    elif value is None:
        _print(errors, f"{position}: the message has no value")
        return 1
    elif options.out is not None:
        create_private_file(options.out, value)
    else:
        write_raw(value)
    return 0


def replay_messages(
    options: CorrectionOptions, settings: Settings, on_progress: OnProgress, errors: Console
) -> int:
    """Replay rejected messages; return 1 where there is nothing to replay."""
    path = options.corrected
    corrected = () if path is None else tuple(read_corrected_trips(path))
    _check_positions(corrected, options)
    request = ReplayRequest(options.selected, corrected, options.again, options.out)
    form = value_format(settings)
    replayer = MessageReplayer(settings, form, options.kind, on_progress, _now)
    result = replayer.replay(request)
    _print_result(options, settings, result, errors)
    return 0 if result.sent or result.backfilled else 1


def _check_positions(corrected: Sequence[CorrectedTrip], options: CorrectionOptions) -> None:
    """Raise InvalidLinesError where it is unclear which message a line corrects."""
    if options.corrected is not None and not corrected:
        msg = f"{options.corrected} holds no corrected trip"
        raise InvalidLinesError(msg)
    wanted = options.selected.positions
    bare = [each.line for each in corrected if each.position is None]
    if bare and (len(corrected) > 1 or not wanted):
        msg = (
            f"line {bare[0]}: a trip without a position, so it is not clear which message it "
            'corrects: write {"position": ..., "trip": {...}}, or give one line and one POSITION'
        )
        raise InvalidLinesError(msg)
    others = [each for each in corrected if each.position is not None and wanted - {each.position}]
    if others:
        msg = f"line {others[0].line} corrects {others[0].position}, which is not the one asked for"
        raise InvalidLinesError(msg)


def _print_result(
    options: CorrectionOptions, settings: Settings, result: ReplayResult, errors: Console
) -> None:
    output = _output()
    if result.sent:
        _print(output, f"{result.sent:,} sent to {trips_topic(settings)}")
    if result.backfill is not None:
        file = result.backfill.file
        where = "" if file is None else f" in {file}"
        why = "their windows no longer accept trips"
        if settings.value != "json" and options.kind.has_reasons:
            why = f"{trips_topic(settings)} takes no plain JSON (MOBILITY_VALUE={settings.value})"
        _print(output, f"{result.backfilled:,} for a backfill{where}: {why}. Run:")
        _print(output, f"  {result.backfill.command}")
        if result.incomplete:
            _print(output, "Not all of these windows are complete yet: run it when they are.")
    if result.skipped:
        _print(errors, f"{result.skipped:,} were replayed before: --again replays them once more")
    elif not result.sent and result.backfill is None:
        _print(errors, f"no {options.kind.noun} to replay")


@contextmanager
def _progress(console: Console, options: CorrectionOptions) -> Iterator[OnProgress]:
    """Yield a callback that shows on a terminal how many messages were read."""
    if not console.is_terminal or (options.as_json and sys.stdout.isatty()):
        # The status line would mix with the JSON lines that are printed while reading.
        yield lambda _done, _total: None
        return
    status = console.status("reading")

    def on_progress(done: int, total: int) -> None:
        if done == total:
            status.stop()
        else:
            status.update(f"{done:,} of {total:,} messages read")
            status.start()

    try:
        yield on_progress
    finally:
        status.stop()


def _output() -> Console:
    output = Console(highlight=False)
    if not output.is_terminal:
        output.width = _WIDTH_WITHOUT_TERMINAL
    return output


def _print(console: Console, text: str) -> None:
    console.print(text, markup=False, soft_wrap=True)


def _first_lines(lines: Sequence[str]) -> str:
    more = len(lines) - _MAX_LINES
    return "\n".join([*lines[:_MAX_LINES], *([f"... and {more:,} more"] if more > 0 else [])])


def _now() -> int:
    return time.time_ns() // 1_000_000


_COMMANDS: Final = {"list": list_messages, "show": show_message, "replay": replay_messages}
