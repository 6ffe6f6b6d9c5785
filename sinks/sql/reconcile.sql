-- Replace the windows whose version is not below the stored one, and move the totals by the
-- difference, in one statement: both happen or neither does.
--
-- All parts of a statement see the tables as they were when it started. So `old` are the windows
-- that the totals contain, because the statements before this one have locked the totals of these
-- ids: at READ COMMITTED this statement starts with a newer snapshot than the locks, so it sees
-- whatever another writer has committed for these ids, and nothing can follow. For the same reason
-- the windows need no ON CONFLICT, and can be updated by the row address (ctid) at which `old`
-- found them.
-- https://www.postgresql.org/docs/current/transaction-iso.html#XACT-READ-COMMITTED
WITH accepted AS MATERIALIZED (
    SELECT
        new.*,
        coalesce(old.trip_count, 0) AS old_trip_count,
        coalesce(old.total_duration, 0) AS old_total_duration,
        coalesce(old.total_distance, 0) AS old_total_distance,
        coalesce(old.total_revenue, 0) AS old_total_revenue,
        -- A window without trips, which a backfill can leave, counts for neither start.
        CASE WHEN new.trip_count > 0 THEN new.start_time END AS first_start,
        CASE WHEN old.trip_count > 0 THEN old.start_time END AS old_first_start,
        CASE WHEN new.trip_count > 0 THEN new.last_start_time END AS last_start,
        CASE WHEN old.trip_count > 0 THEN old.last_start_time END AS old_last_start,
        old.ctid AS old_ctid
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
    WHERE old_ctid IS NULL
    ORDER BY id, window_start
),
updated AS (
    UPDATE {ledger} AS ledger SET
        trip_count = accepted.trip_count,
        total_duration = accepted.total_duration,
        total_distance = accepted.total_distance,
        total_revenue = accepted.total_revenue,
        start_time = accepted.start_time,
        last_start_time = accepted.last_start_time,
        pane = accepted.pane,
        generation = accepted.generation
    FROM accepted
    WHERE accepted.old_ctid IS NOT NULL AND ledger.ctid = accepted.old_ctid
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
            AS removed_start,
        max(last_start) AS last_start_time,
        max(old_last_start) FILTER (WHERE coalesce(last_start < old_last_start, true))
            AS removed_last_start
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
            -- A new generation has removed the earliest trip: find the next one in the windows.
            WHEN by.removed_start <= totals.start_time THEN least(
                by.start_time,
                (
                    SELECT min(other.start_time)
                    FROM {ledger} AS other
                    WHERE other.id = by.id AND other.trip_count > 0 AND NOT EXISTS (
                        SELECT FROM accepted
                        WHERE accepted.id = other.id AND accepted.window_start = other.window_start
                    )
                )
            )
            ELSE least(totals.start_time, by.start_time)
        END,
        last_start_time = CASE
            -- The same for the latest trip.
            WHEN by.removed_last_start >= totals.last_start_time THEN greatest(
                by.last_start_time,
                (
                    SELECT max(other.last_start_time)
                    FROM {ledger} AS other
                    WHERE other.id = by.id AND other.trip_count > 0 AND NOT EXISTS (
                        SELECT FROM accepted
                        WHERE accepted.id = other.id AND accepted.window_start = other.window_start
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
