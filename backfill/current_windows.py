"""The current windows of a range, and the check that they are complete."""

from typing import Final

import polars as pl
from psycopg import sql

from backfill.callbacks import OnStatus
from backfill.errors import BackfillError, IncompleteRangeError
from backfill.trip_log import find_first_offsets
from backfill.window_range import WindowRange
from broker.topic_reader import read_topic
from mobility.entities import ENTITIES, Entity
from mobility.messages import decode_windows
from mobility.records import MIN_EVENT_TIME, window_schema
from mobility.settings import Settings
from mobility.sketched_measures import sketches_of
from mobility.times import iso_time
from mobility.topics import aggregated_topic
from mobility.totals import highest_versions, with_substitutes
from sinks.partitions import read_kept_from
from sinks.postgres_copy import copy_out
from sinks.postgres_session import PostgresSession, open_postgres_session
from sinks.store import WindowStore

_MERGED_ROWS: Final = 200_000


def read_current_windows(
    settings: Settings, window_range: WindowRange, on_status: OnStatus
) -> pl.DataFrame:
    """Return the windows of a range (ENTITY_WINDOW_SCHEMA), from Postgres where there is one.

    Without Postgres they are the highest versions in `aggregated.*`. Raises BackfillError where
    those topics no longer cover the range.
    """
    names = settings.measures
    if "postgres" in settings.stores:
        on_status("windows in Postgres")
        session = open_postgres_session(settings)
        try:
            frames = [
                _read_ledger(
                    session, entity, window_range, window_schema(sketches_of(entity, names))
                )
                for entity in ENTITIES
            ]
        finally:
            session.close()
    else:
        frames = [_read_topic(settings, entity, window_range, on_status) for entity in ENTITIES]
    return pl.concat(frames, how="diagonal")


def refuse_incomplete(
    window_range: WindowRange, settings: Settings, watermark: int | None, source: str
) -> None:
    """Raise IncompleteRangeError where the range has windows that are not complete yet.

    `watermark` (epoch ms) is that of `source`, None where it is unknown.
    """
    lateness = settings.allowed_lateness * 1_000
    if watermark is not None and window_range.end + lateness < watermark:
        return
    if watermark is None:
        state = "has partitions without an event time"
        advice = "Run again when each has one; a punctuation is enough."
    else:
        end = (watermark - 1 - lateness) // settings.window_ms * settings.window_ms
        state = f"has the watermark {iso_time(watermark)}"
        advice = f"Complete are the windows up to --to {iso_time(end)}."
    msg = (
        f"Not all windows of {window_range} are complete: {source} {state}, and a window accepts "
        f"trips until {settings.allowed_lateness} s after its end. {advice}"
    )
    raise IncompleteRangeError(msg)


def refuse_incomplete_in(store: WindowStore, window_range: WindowRange, settings: Settings) -> None:
    """Raise IncompleteRangeError where the stores lack complete windows of the range yet.

    Stores that `dataflows.serving` writes to have no watermarks; then the log alone decides.
    """
    progress = {entity.name: store.progress(entity) for entity in ENTITIES}
    missing = [name for name, watermarks in progress.items() if not watermarks]
    if missing and len(missing) < len(progress):
        msg = (
            f"Not all windows of {window_range} are complete: the stores have no watermark of "
            f"{', '.join(missing)} yet. Run again when the flow has recorded one."
        )
        raise IncompleteRangeError(msg)
    watermarks = [each for watermarks in progress.values() for each in watermarks.values()]
    lowest = min(watermarks, default=MIN_EVENT_TIME)
    if lowest > MIN_EVENT_TIME:
        refuse_incomplete(window_range, settings, lowest, "the flow that writes to the stores")


def refuse_dropped(window_range: WindowRange, settings: Settings) -> None:
    """Raise BackfillError where Postgres has dropped windows of the range (MOBILITY_RETENTION).

    Whether a trip was counted in one of them can't be known any more.
    """
    if "postgres" not in settings.stores:
        return
    session = open_postgres_session(settings)
    try:
        kept = session.run(
            lambda connection: [read_kept_from(connection, entity) for entity in ENTITIES]
        )
    finally:
        session.close()
    kept_from = max((start for start in kept if start is not None), default=MIN_EVENT_TIME)
    if window_range.start < kept_from:
        msg = (
            f"Postgres keeps windows from {iso_time(kept_from)} on (MOBILITY_RETENTION), and "
            f"{window_range} begins before that: what was dropped can't be recounted. Begin at "
            f"--from {iso_time(kept_from)} or later."
        )
        raise BackfillError(msg)


def _read_ledger(
    session: PostgresSession, entity: Entity, window_range: WindowRange, schema: pl.Schema
) -> pl.DataFrame:
    query = sql.SQL("SELECT {} FROM {} WHERE window_start >= {} AND window_start < {}").format(
        sql.SQL(", ").join(map(sql.Identifier, schema)),
        sql.Identifier(f"{entity.name}_ledger"),
        sql.Literal(window_range.start),
        sql.Literal(window_range.end),
    )
    rows = session.run(lambda connection: copy_out(connection, query, schema))
    return with_substitutes(rows).select(pl.lit(entity.name).alias("entity"), *schema)


def _read_topic(
    settings: Settings, entity: Entity, window_range: WindowRange, on_status: OnStatus
) -> pl.DataFrame:
    topic = aggregated_topic(settings, entity)
    # A window that was deleted there would not be corrected, and still be counted elsewhere.
    find_first_offsets(settings, topic, window_range)
    sketches = sketches_of(entity, settings.measures)
    newest, waiting = pl.DataFrame(schema=window_schema(sketches)), []
    for batch in read_topic(settings, topic):
        on_status(f"{topic}: {newest.height:,} windows of the range")
        try:
            rows = decode_windows([message.value() or b"" for message in batch], entity, sketches)
        except ValueError as error:
            msg = f"{topic} can't be read: {error}"
            raise BackfillError(msg) from error
        waiting.append(rows.filter(window_range.contains()))
        # To merge them at once would sort all of them for each batch.
        if sum(each.height for each in waiting) > max(newest.height, _MERGED_ROWS):
            newest, waiting = highest_versions(pl.concat([newest, *waiting])), []
    newest = highest_versions(pl.concat([newest, *waiting]))
    # The pane does not matter: windows are written back as `late`.
    return newest.select(pl.lit(entity.name).alias("entity"), pl.all())
