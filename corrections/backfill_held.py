"""What the system answers now: the windows of a range, and how far it has counted."""

from collections.abc import Callable

import polars as pl
from psycopg import sql

from audit.log import read_topic
from audit.topics import decode_windows, latest
from corrections.backfill_errors import BackfillError
from corrections.backfill_log import first_offsets
from corrections.backfill_plan import HELD_SCHEMA
from corrections.backfill_range import Range, shown
from mobility.entities import ENTITIES, Entity
from mobility.records import MIN_EVENT_TIME, WINDOW_SCHEMA
from mobility.settings import Settings
from mobility.topics import aggregated_topic
from sinks.postgres_copy import copy_out
from sinks.postgres_session import PostgresSession, open_postgres_session
from sinks.store import WindowStore

Say = Callable[[str], None]


def held_windows(settings: Settings, span: Range, say: Say) -> pl.DataFrame:
    """Return the windows of a range (HELD_SCHEMA): those of Postgres where there is one.

    Without it they are the newest versions in `aggregated.*`. Raises BackfillError where those
    topics no longer reach back over the range.
    """
    if "postgres" in settings.stores:
        say("windows in Postgres")
        session = open_postgres_session(settings)
        try:
            frames = [_ledger(session, entity, span) for entity in ENTITIES]
        finally:
            session.close()
    else:
        frames = [_sent(settings, entity, span, say) for entity in ENTITIES]
    return pl.concat(frames)


def refuse_open(span: Range, settings: Settings, reached: int | None, who: str) -> None:
    """Raise BackfillError where the range has windows that are not complete yet.

    `reached` is the event time (epoch ms) up to which `who` has come, None where that is unknown.
    """
    lateness = settings.allowed_lateness * 1_000
    if reached is not None and span.end + lateness < reached:
        return
    if reached is None:
        far = "has partitions that never spoke"
        advice = "Run again when each has, or was given a punctuation."
    else:
        end = (reached - 1 - lateness) // settings.window_ms * settings.window_ms
        far = f"has come to {shown(reached)} of event time"
        advice = f"Complete are the windows up to --to {shown(end)}."
    msg = (
        f"Not all windows of {span} are complete: {who} {far}, and a window takes trips until "
        f"{settings.allowed_lateness} s after its end. {advice}"
    )
    raise BackfillError(msg)


def refuse_open_in(store: WindowStore, span: Range, settings: Settings) -> None:
    """Raise BackfillError where the stores are not yet told all about the range.

    One whose writer knows no watermarks (`dataflows.serving`) says nothing; the log does.
    """
    marks = [mark for entity in ENTITIES for mark in store.progress(entity).values()]
    reached = min(marks, default=MIN_EVENT_TIME)
    if reached > MIN_EVENT_TIME:
        refuse_open(span, settings, reached, "the flow that feeds the stores")


def _ledger(session: PostgresSession, entity: Entity, span: Range) -> pl.DataFrame:
    query = sql.SQL("SELECT {} FROM {} WHERE window_start >= {} AND window_start < {}").format(
        sql.SQL(", ").join(map(sql.Identifier, WINDOW_SCHEMA)),
        sql.Identifier(f"{entity.name}_ledger"),
        sql.Literal(span.start),
        sql.Literal(span.end),
    )
    rows = session.run(lambda connection: copy_out(connection, query, WINDOW_SCHEMA))
    return rows.select(pl.lit(entity.name).alias("entity"), *WINDOW_SCHEMA)


def _sent(settings: Settings, entity: Entity, span: Range, say: Say) -> pl.DataFrame:
    topic = aggregated_topic(settings, entity)
    # What was deleted there could be a window that would go on being counted elsewhere.
    first_offsets(settings, topic, span)
    newest = decode_windows([], entity)
    for batch in read_topic(settings.kafka, topic):
        say(f"{topic}: {newest.height:,} windows of the range")
        rows = decode_windows([message.value for message in batch], entity)
        newest = latest(pl.concat([newest, rows.filter(span.holds())]))
    # The pane is not read, and nothing depends on it: a window is written back as `late`.
    return newest.with_columns(pane=pl.lit("late")).select(HELD_SCHEMA.names())
