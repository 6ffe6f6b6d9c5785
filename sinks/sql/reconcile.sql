-- Replace the windows whose version is not below the one held and move the totals by the
-- difference, in one statement: both happen or neither does.
--
-- All parts of a statement see the tables as they were when it started. That is what makes `old`
-- the windows that the totals still contain, and it is safe only because the rows of totals were
-- locked by the statement before this one: at READ COMMITTED this one's view of the tables is newer
-- than the locks, so whatever another writer did to these ids is in it, and nothing can follow. For
-- the same reason the windows need no ON CONFLICT, and can be replaced where `old` found them.
WITH accepted AS MATERIALIZED (
    SELECT
        new.*,
        coalesce(old.trip_count, 0) AS old_trip_count,
        coalesce(old.total_duration, 0) AS old_total_duration,
        coalesce(old.total_distance, 0) AS old_total_distance,
        coalesce(old.total_revenue, 0) AS old_total_revenue,
        -- A window without trips, which a backfill can leave, has no start that means anything.
        CASE WHEN new.trip_count > 0 THEN new.start_time END AS first_start,
        CASE WHEN old.trip_count > 0 THEN old.start_time END AS old_first_start,
        CASE WHEN new.trip_count > 0 THEN new.last_start_time END AS last_start,
        CASE WHEN old.trip_count > 0 THEN old.last_start_time END AS old_last_start,
        old.ctid AS place
    FROM staged AS new
    LEFT JOIN {ledger} AS old USING (id, window_start)
    WHERE old.id IS NULL
        OR (new.generation, new.trip_count) > (old.generation, old.trip_count)
        OR (
            (new.generation, new.trip_count) = (old.generation, old.trip_count)
            AND (
                new.total_duration, new.total_distance, new.total_revenue, new.start_time,
                new.last_start_time, new.pane
            ) IS DISTINCT FROM (
                old.total_duration, old.total_distance, old.total_revenue, old.start_time,
                old.last_start_time, old.pane
            )
        )
),
inserted AS (
    INSERT INTO {ledger} (
        id, window_start, trip_count, total_duration, total_distance, total_revenue, start_time,
        last_start_time, pane, generation
    )
    SELECT
        id, window_start, trip_count, total_duration, total_distance, total_revenue, start_time,
        last_start_time, pane, generation
    FROM accepted
    WHERE place IS NULL
    ORDER BY id, window_start
),
replaced AS (
    UPDATE {ledger} AS held SET
        trip_count = accepted.trip_count,
        total_duration = accepted.total_duration,
        total_distance = accepted.total_distance,
        total_revenue = accepted.total_revenue,
        start_time = accepted.start_time,
        last_start_time = accepted.last_start_time,
        pane = accepted.pane,
        generation = accepted.generation
    FROM accepted
    WHERE accepted.place IS NOT NULL AND held.ctid = accepted.place
),
differences AS (
    SELECT
        id,
        sum(trip_count - old_trip_count)::bigint AS trip_count,
        sum(total_duration - old_total_duration)::bigint AS total_duration,
        sum(total_distance - old_total_distance)::bigint AS total_distance,
        sum(total_revenue - old_total_revenue)::bigint AS total_revenue,
        min(first_start) AS start_time,
        min(old_first_start) FILTER (WHERE coalesce(first_start > old_first_start, true))
            AS withdrawn,
        max(last_start) AS last_start_time,
        max(old_last_start) FILTER (WHERE coalesce(last_start < old_last_start, true))
            AS last_withdrawn
    FROM accepted
    GROUP BY id
),
moved AS (
    UPDATE {totals} AS totals SET
        trip_count = totals.trip_count + by.trip_count,
        total_duration = totals.total_duration + by.total_duration,
        total_distance = totals.total_distance + by.total_distance,
        total_revenue = totals.total_revenue + by.total_revenue,
        start_time = CASE
            -- A new generation took the earliest trip away: the windows know the next one.
            WHEN by.withdrawn <= totals.start_time THEN least(
                by.start_time,
                (
                    SELECT min(kept.start_time)
                    FROM {ledger} AS kept
                    WHERE kept.id = by.id AND kept.trip_count > 0 AND NOT EXISTS (
                        SELECT FROM accepted
                        WHERE accepted.id = kept.id AND accepted.window_start = kept.window_start
                    )
                )
            )
            ELSE least(totals.start_time, by.start_time)
        END,
        last_start_time = CASE
            -- Or the latest.
            WHEN by.last_withdrawn >= totals.last_start_time THEN greatest(
                by.last_start_time,
                (
                    SELECT max(kept.last_start_time)
                    FROM {ledger} AS kept
                    WHERE kept.id = by.id AND kept.trip_count > 0 AND NOT EXISTS (
                        SELECT FROM accepted
                        WHERE accepted.id = kept.id AND accepted.window_start = kept.window_start
                    )
                )
            )
            ELSE greatest(totals.last_start_time, by.last_start_time)
        END,
        updated_at = now()
    FROM differences AS by
    WHERE totals.id = by.id
)
SELECT count(*) FROM accepted
