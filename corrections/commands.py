"""`python -m corrections.commands`: what `just dlq` and `just late` run."""

import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from rich.console import Console

from corrections.files import write_new
from corrections.letterbox import Filters, Letterbox
from corrections.lines import LineError, Supplied, read_lines
from corrections.listing import Summary, newest, print_lines, print_table
from corrections.options import DEFAULT_LIMIT, Options, parse
from corrections.reading import LogError, Show
from corrections.replaying import Outcome, Refused, Replay, Request
from corrections.sender import DeliveryError
from corrections.showing import print_letter, write_raw
from mobility.settings import Settings, SettingsError, read_settings
from mobility.topics import trips_topic

_WIDTH_WITHOUT_TERMINAL: Final = 160
_MOST_FAULTS: Final = 20
_UNUSABLE: Final = (SettingsError, LogError, OSError)
"""What leaves with 2: nothing could begin."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return 0, 1 where nothing matched or something was refused, 2 for bad use."""
    options = parse(arguments)
    errors = Console(stderr=True, highlight=False)
    try:
        settings = read_settings(os.environ)
        with _progress(errors, options) as show:
            code = _COMMANDS[options.command](options, settings, show, errors)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read has seen enough; what is left in the buffer has nowhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        _say(errors, "stopped; what was not marked can be replayed again, each trip counts once")
        return 130
    except (*_UNUSABLE, Refused, LineError, DeliveryError) as error:
        _say(errors, _told(error))
        return 2 if isinstance(error, _UNUSABLE) else 1
    return code


def _told(error: Exception) -> str:
    if isinstance(error, Refused | LineError):
        return f"{_few(str(error).splitlines())}\nNothing was sent."
    if isinstance(error, DeliveryError):
        return f"{error}. Nothing was marked: replay again, each trip counts once."
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return str(error)


def list_letters(options: Options, settings: Settings, show: Show, errors: Console) -> int:
    """List letters; return 1 where there is none to list."""
    box = Letterbox(settings, options.kind, show)
    summary = Summary()
    letters = (
        each
        for each in summary.counted(box.find(options.filters))
        if options.everything or each.replayed is None
    )
    if options.as_json and options.limit is None:
        shown = print_lines(letters, values=options.values)
    elif options.as_json:
        shown = print_lines(newest(letters, options.limit or 0), values=options.values)
    else:
        rows = newest(summary.passed(letters), options.limit or DEFAULT_LIMIT)
        shown = len(rows)
        if rows:
            print_table(_output(), options.kind, rows, summary)
    if box.foreign:
        topic = options.kind.topic(settings)
        _say(errors, f"{topic} holds {box.foreign:,} messages that name no position of this log")
    if not shown:
        replayed = summary.replayed.total()
        hidden = f" to show: {replayed:,} were replayed, --all shows them" if replayed else ""
        _say(errors, f"no {options.kind.noun}{hidden}")
    return 0 if shown else 1


def show_letter(options: Options, settings: Settings, show: Show, errors: Console) -> int:
    """Show one letter; return 1 where there is none, or no value to write."""
    (position,) = options.filters.positions
    if options.raw and sys.stdout.isatty():
        _say(errors, "--raw: stdout is a terminal, on which a message may act. Pipe it, or --out")
        return 2
    box = Letterbox(settings, options.kind, show)
    found = next(box.find(Filters(positions=frozenset([position]))), None)
    if found is None:
        _say(errors, f"{position}: no such letter in {options.kind.topic(settings)}")
        return 1
    value = found.letter.value
    if options.as_json:
        print_lines([found], values=True)
    elif not options.raw and options.out is None:
        print_letter(_output(), found)
    elif value is None:
        _say(errors, f"{position}: the message has no value")
        return 1
    elif options.out is not None:
        write_new(options.out, value)
    else:
        write_raw(value)
    return 0


def replay_letters(options: Options, settings: Settings, show: Show, errors: Console) -> int:
    """Replay letters; return 1 where there is nothing to replay."""
    supplied = () if options.corrected is None else tuple(read_lines(options.corrected))
    _check_bare(supplied, options)
    request = Request(options.filters, supplied, options.again, options.out)
    outcome = Replay(settings, options.kind, show, _now).run(request)
    _report(options, settings, outcome, errors)
    return 0 if outcome.sent or outcome.handed else 1


def _check_bare(supplied: Sequence[Supplied], options: Options) -> None:
    """Raise LineError where lines and POSITION do not say together which letter is corrected."""
    if options.corrected is not None and not supplied:
        msg = f"{options.corrected} holds no corrected trip"
        raise LineError(msg)
    bare = [each for each in supplied if each.position is None]
    if bare and (len(supplied) > 1 or len(options.filters.positions) != 1):
        msg = (
            f"line {bare[0].line}: a trip without a position, so it is not clear which letter it "
            'corrects: write {"position": ..., "trip": {...}}, or give one line and one POSITION'
        )
        raise LineError(msg)


def _report(options: Options, settings: Settings, outcome: Outcome, errors: Console) -> None:
    output = _output()
    noun = options.kind.noun
    if outcome.sent:
        _say(output, f"{outcome.sent:,} sent to {trips_topic(settings)}")
    if outcome.handover is not None:
        file = outcome.handover.file
        where = "" if file is None else f" in {file}"
        _say(output, f"{outcome.handed:,} for the backfill{where}, as their windows take no more:")
        _say(output, f"  {outcome.handover.command}")
        if outcome.waiting:
            _say(output, "Not all of these windows are complete yet: run it when they are.")
    if outcome.skipped:
        _say(errors, f"{outcome.skipped:,} were replayed before: --again replays them once more")
    elif not outcome.sent and outcome.handover is None:
        _say(errors, f"no {noun} to replay")


@contextmanager
def _progress(console: Console, options: Options) -> Iterator[Show]:
    """Yield a function that shows how many messages were read, where a terminal is watched."""
    if not console.is_terminal or (options.as_json and sys.stdout.isatty()):
        # Lines that are printed while reading would be torn by it.
        yield lambda _done, _total: None
        return
    status = console.status("reading")

    def show(done: int, total: int) -> None:
        if done == total:
            status.stop()
        else:
            status.update(f"{done:,} of {total:,} messages read")
            status.start()

    try:
        yield show
    finally:
        status.stop()


def _output() -> Console:
    output = Console(highlight=False)
    if not output.is_terminal:
        output.width = _WIDTH_WITHOUT_TERMINAL
    return output


def _say(console: Console, text: str) -> None:
    console.print(text, markup=False, soft_wrap=True)


def _few(lines: Sequence[str]) -> str:
    more = len(lines) - _MOST_FAULTS
    return "\n".join([*lines[:_MOST_FAULTS], *([f"... and {more:,} more"] if more > 0 else [])])


def _now() -> int:
    return time.time_ns() // 1_000_000


_COMMANDS: Final = {"list": list_letters, "show": show_letter, "replay": replay_letters}

if __name__ == "__main__":
    sys.exit(main())
