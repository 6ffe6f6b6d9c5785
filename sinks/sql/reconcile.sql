-- Replace the windows whose version is not below the stored one, and move the totals by the
-- difference, in one statement: both happen or neither does.
--
-- All parts of a statement see the tables as they were when it started. So `old` are the windows
-- that the totals contain, because the statements before this one have locked the totals of these
-- ids: at READ COMMITTED this statement starts with a newer snapshot than the locks, so it sees
-- whatever another writer has committed for these ids, and nothing can follow. For the same reason
-- the windows need no ON CONFLICT, and can be updated by the row address (partition and ctid) at
-- which `old` found them.
--
-- That all windows start between {first} and {last} is said as well: by this the planner chooses
-- the partitions.
-- https://www.postgresql.org/docs/current/transaction-iso.html#XACT-READ-COMMITTED
WITH accepted AS MATERIALIZED (
    SELECT
        new.*,
        {measures_before},
        old.tableoid AS old_partition,
        old.ctid AS old_ctid
    FROM staged AS new
    LEFT JOIN {ledger} AS old
        ON old.id = new.id
        AND old.window_start = new.window_start
        AND old.window_start BETWEEN {first} AND {last}
    WHERE old.id IS NULL
        OR (new.generation, new.trip_count) > (old.generation, old.trip_count)
        OR (
            (new.generation, new.trip_count) = (old.generation, old.trip_count)
            AND ({new_measures}, new.pane{new_sketches})
                IS DISTINCT FROM ({old_measures}, old.pane{old_sketches})
        )
),
inserted AS (
    INSERT INTO {ledger} (id, window_start, {measures}, pane, generation{sketches})
    SELECT id, window_start, {measures}, pane, generation{sketches}
    FROM accepted
    WHERE old_ctid IS NULL
    ORDER BY id, window_start
),
updated AS (
    UPDATE {ledger} AS ledger SET
        {accepted_measures},
        pane = accepted.pane,
        generation = accepted.generation{accepted_sketches}
    FROM accepted
    WHERE ledger.ctid = accepted.old_ctid
        AND ledger.tableoid = accepted.old_partition
        AND ledger.window_start BETWEEN {first} AND {last}
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
