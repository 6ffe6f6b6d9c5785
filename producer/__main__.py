"""`python -m producer FILE...`: replay trip files."""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from rich.console import Console

from broker.errors import BrokerError, DeliveryError
from broker.topics import cluster_id, find_topic
from mobility.settings import Settings, SettingsError, read_settings
from mobility.topics import trips_topic
from mobility.value_settings import unwritable
from producer.batches import FilePosition, make_batches
from producer.day_shift import DayShift, days_to_yesterday, whole_days
from producer.final_punctuation import FinalPunctuation
from producer.formats.errors import TripsFileError
from producer.formats.reading_report import ReadingReport
from producer.formats.rejects import RejectsFile
from producer.formats.trip_reader import open_trip_files
from producer.options import ProducerOptions, parse_options
from producer.progress import progress_bar, reading_bar, summary
from producer.replayer import SavePosition, TripReplayer, discard_position
from producer.resumption import LogTail, ResumingTripWriter, read_log_tail
from producer.schedule import REAL_TIME, Clock, EventTimeSchedule, SystemClock
from producer.signals import stop_requested_by_signals
from producer.state import ReplaySource, ReplayState, ReplayStateError, read_state, write_state
from producer.trip_writer import KafkaTripWriter, TripWriter
from producer.trips_file import TripsFile, open_trips_file

CheckTrips = Callable[[TripsFile], None]
"""Looks at the trips of the files before they are sent."""


def accept_all(_file: TripsFile) -> None:
    """Refuse nothing."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Replay files; return 0, 1 if Kafka failed, 2 for an invalid call, 130 if interrupted."""
    options = parse_options(arguments)
    console = Console(stderr=True, highlight=False)
    try:
        line = replay(options, read_settings(os.environ), console, SystemClock())
    except (SettingsError, TripsFileError, BrokerError, ReplayStateError, OSError) as error:
        _print(console, str(error), "red")
        return 2
    except DeliveryError as error:
        _print(console, str(error), "red")
        return 1
    except KeyboardInterrupt:
        console.print("stopped before Kafka had confirmed all messages", style="red")
        return 130
    sys.stdout.write(f"{line}\n")
    return 0


def replay(
    options: ProducerOptions,
    settings: Settings,
    console: Console,
    clock: Clock,
    check: CheckTrips = accept_all,
) -> str:
    """Send the files to the trips topic; return a summary in lines.

    `check` is called once all are read, before the first is sent, and may raise to refuse them.
    """
    if faults := list(unwritable(settings, "the producer")):
        raise SettingsError(faults)
    reading = replace(options.reading, refunds=settings.refunds)
    with (
        console.status("opening the files") as status,
        open_trip_files(options.files, reading) as reader,
    ):
        status.stop()
        for line in reader.describe():
            _print(console, line)
        reader.check_amounts()
        report = reader.new_report()
        rejects = None if options.rejects is None else RejectsFile(options.rejects)
        with (
            reading_bar(console, reader.size) as bar,
            open_trips_file(
                reader,
                report,
                settings.event_time,
                as_is=options.as_is,
                rejects=rejects,
                on_read=bar.show,
            ) as file,
        ):
            bar.stop()
            for line in _preview(report, file):
                _print(console, line)
            check(file)
            sent = _send(options, settings, file, console, clock)
            return "\n".join((sent, *report.totals()))


def _preview(report: ReadingReport, file: TripsFile) -> Iterator[str]:
    yield from report.lines()
    if file.outliers:
        yield (
            f"look at this: trips more than 30 days away from all others: {file.outliers:,}; "
            "no schedule waits for them"
        )


def _send(
    options: ProducerOptions, settings: Settings, file: TripsFile, console: Console, clock: Clock
) -> str:
    topic = find_topic(settings, trips_topic(settings))
    source = ReplaySource.of(
        file,
        topic=topic.name,
        cluster=cluster_id(settings),
        event_time=settings.event_time,
        as_is=options.as_is,
        rebased=options.rebase,
    )
    state, tail = _resume(options, settings, source, _shift(options, file, clock))
    writer = ResumingTripWriter(KafkaTripWriter(settings, topic, tail.ends), tail.messages)
    started = clock.now()
    total = None if _is_endless(options) else (file.rows - state.position.row) * options.density
    with stop_requested_by_signals() as is_stopping, progress_bar(console, total) as show_progress:
        replayer = TripReplayer(
            writer,
            clock,
            save_position=_position_saver(options, state, writer),
            show_progress=show_progress,
            is_stopping=is_stopping,
        )
        reached = replayer.run(
            make_batches(
                file,
                DayShift(state.shift, whole_days(file.first, file.last)),
                state.position,
                density=options.density,
                forever=_is_endless(options),
            ),
            _schedule(options, clock),
        )
        end = None
        if options.final:
            end = _end(file, settings, writer, (reached or state.position).row, clock)
    line = summary(topic.name, writer.delivered, clock.now() - started)
    return line if end is None else f"{line}\n{end}"


def _resume(
    options: ProducerOptions, settings: Settings, source: ReplaySource, shift: int
) -> tuple[ReplayState, LogTail]:
    """Return the saved state, else a new one with this shift, and what the log has beyond it."""
    new = ReplayState(source, shift, FilePosition(0, 0))
    if options.state is None:
        return new, LogTail()
    saved = read_state(options.state, source)
    tail = read_log_tail(settings, source.topic, saved.ends if saved else None)
    state = saved or new
    state = replace(state, ends=state.ends or dict(tail.ends))
    # Saved before the first message: a start after a crash shifts times in the same way, and finds
    # what was sent.
    write_state(options.state, state)
    return state, tail


def _end(file: TripsFile, settings: Settings, writer: TripWriter, sent: int, clock: Clock) -> str:
    """Punctuate every partition if all rows are sent; return for people what was done."""
    if sent < file.rows:
        return (
            f"stopped after {sent:,} of {file.rows:,} trips: the partitions are not punctuated; "
            "with --state, the same command continues"
        )
    now = int(clock.now() * 1_000)
    punctuation = FinalPunctuation.of(file.runs.event_times, settings, now)
    punctuation.send(writer)
    return punctuation.describe()


def _print(console: Console, text: str, style: str | None = None) -> None:
    console.print(text, style=style, markup=False, soft_wrap=True)


def _is_endless(options: ProducerOptions) -> bool:
    return options.loop or options.rebase


def _shift(options: ProducerOptions, file: TripsFile, clock: Clock) -> int:
    return days_to_yesterday(int(clock.now() * 1_000), file.first) if options.rebase else 0


def _position_saver(
    options: ProducerOptions, state: ReplayState, writer: ResumingTripWriter
) -> SavePosition:
    path = options.state
    if path is None:
        return discard_position

    def save(position: FilePosition) -> None:
        is_end = position.row == state.source.rows and not _is_endless(options)
        # Meanwhile trips beyond the position may be in the log, and the old state is still true.
        if is_end or not writer.is_resuming:
            ends = dict(writer.delivered.ends)
            write_state(path, replace(state, position=position, ends=ends))

    return save


def _schedule(options: ProducerOptions, clock: Clock) -> Callable[[int], EventTimeSchedule]:
    if options.rebase:
        return lambda _first: REAL_TIME
    return lambda first: EventTimeSchedule(options.speed, first, clock.now())


if __name__ == "__main__":
    sys.exit(main())
