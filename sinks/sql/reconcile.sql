-- Replace the windows whose version is not below the stored one, and move the totals by the
-- difference, in one statement: both happen or neither does.
--
-- All parts of a statement see the tables as they were when it started. So `old` are the windows
-- that the totals contain, because the statements before this one have locked the totals of these
-- ids: at READ COMMITTED this statement starts with a newer snapshot than the locks, so it sees
-- whatever another writer has committed for these ids, and nothing can follow. For the same reason
-- the windows need no ON CONFLICT, and can be updated by the row address (ctid) at which `old`
-- found them.
--
-- The windows are those of one partition, which is named: of the ledger the planner would exclude
-- the others by a range of starts only, and read all ids of that range.
-- https://www.postgresql.org/docs/current/transaction-iso.html#XACT-READ-COMMITTED
WITH accepted AS MATERIALIZED (
    SELECT
        new.*,
        {measures_before},
        old.ctid AS old_ctid
    FROM (SELECT * FROM staged WHERE {chosen}) AS new
    LEFT JOIN {partition} AS old USING (id, window_start)
    WHERE old.id IS NULL
        OR (new.generation, new.trip_count) > (old.generation, old.trip_count)
        OR (
            (new.generation, new.trip_count) = (old.generation, old.trip_count)
            AND ({new_measures}, new.pane{new_sketches})
                IS DISTINCT FROM ({old_measures}, old.pane{old_sketches})
        )
),
inserted AS (
    INSERT INTO {partition} (id, window_start, {measures}, pane, generation{sketches})
    SELECT id, window_start, {measures}, pane, generation{sketches}
    FROM accepted
    WHERE old_ctid IS NULL
    ORDER BY id, window_start
),
updated AS (
    UPDATE {partition} AS ledger SET
        {accepted_measures},
        pane = accepted.pane,
        generation = accepted.generation{accepted_sketches}
    FROM accepted
    WHERE accepted.old_ctid IS NOT NULL AND ledger.ctid = accepted.old_ctid
),
differences AS (
    SELECT id, {differences}, max(window_start) AS newest_window
    FROM accepted
    GROUP BY id
),
moved AS (
    UPDATE {totals} AS totals SET
        {moved_measures},
        newest_window = greatest(totals.newest_window, by.newest_window),
        updated_at = now()
    FROM differences AS by
    WHERE totals.id = by.id
    RETURNING totals.id, {totals_of_ids}, totals.newest_window, {lost_extremes} AS has_lost
)
{answer}
