"""`python -m producer FILE`: replay a trips file."""

import os
import sys
from collections.abc import Callable, Sequence

from rich.console import Console

from mobility.settings import Settings, SettingsError, read_settings
from mobility.topics import trips_topic
from producer.batches import Position, batches
from producer.columns import TripsFileError
from producer.feed import Feed, open_feed
from producer.options import Options, parse
from producer.outlet import DeliveryError, KafkaOutlet, TopicError, find_topic
from producer.pace import LIVE, Clock, Pace, SystemClock, stop_on_signals
from producer.progress import progress_bar, summary
from producer.replay import Keep, Replay, nothing_kept
from producer.state import Source, State, StateError, read_state, write_state
from producer.timeline import Timeline, shift_to, span_of


def main(arguments: Sequence[str] | None = None) -> int:
    """Replay a file; return 0, 1 where Kafka failed, 2 where it could not begin, 130 if cut off."""
    options = parse(arguments)
    console = Console(stderr=True, highlight=False)
    try:
        line = replay(options, read_settings(os.environ), console, SystemClock())
    except (SettingsError, TripsFileError, TopicError, StateError) as error:
        console.print(str(error), style="red", markup=False, soft_wrap=True)
        return 2
    except DeliveryError as error:
        console.print(str(error), style="red", markup=False, soft_wrap=True)
        return 1
    except KeyboardInterrupt:
        console.print("stopped before everything was confirmed", style="red")
        return 130
    sys.stdout.write(f"{line}\n")
    return 0


def replay(options: Options, settings: Settings, console: Console, clock: Clock) -> str:
    """Send the file to the trips topic; return the line that sums it up."""
    feed = open_feed(options.file, settings.event_time, as_is=options.as_is)
    topic = find_topic(settings.kafka, trips_topic(settings))
    source = Source.of(
        feed,
        topic,
        event_time=settings.event_time,
        as_is=options.as_is,
        rebased=options.rebase,
    )
    kept = options.state and read_state(options.state, source)
    state = kept or State(source, _shift(options, feed, clock), Position(0, 0))
    keep = _keeper(options, state)
    # Kept before the first message, so that a start after a crash shifts times as this one does.
    keep(state.position)
    outlet = KafkaOutlet(settings.kafka, topic)
    began = clock.now()
    total = None if _endless(options) else (feed.rows - state.position.row) * options.density
    with stop_on_signals() as stopping, progress_bar(console, total) as show:
        runner = Replay(outlet, clock, keep=keep, show=show, stopping=stopping)
        runner.run(
            batches(
                feed,
                Timeline(state.shift, span_of(feed.first, feed.last)),
                state.position,
                density=options.density,
                forever=_endless(options),
            ),
            _pace(options, clock),
        )
    return summary(topic.name, outlet.tally, clock.now() - began)


def _endless(options: Options) -> bool:
    return options.loop or options.rebase


def _shift(options: Options, feed: Feed, clock: Clock) -> int:
    return shift_to(int(clock.now() * 1_000), feed.first) if options.rebase else 0


def _keeper(options: Options, state: State) -> Keep:
    if options.state is None:
        return nothing_kept
    path = options.state
    return lambda position: write_state(path, State(state.source, state.shift, position))


def _pace(options: Options, clock: Clock) -> Callable[[int], Pace]:
    if options.rebase:
        return lambda _first: LIVE
    return lambda first: Pace(options.speed, first, clock.now())


if __name__ == "__main__":
    sys.exit(main())
