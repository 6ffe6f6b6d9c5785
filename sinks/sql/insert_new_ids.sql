-- Lock the ids of the batch that there are, and add those that the store has never seen.
--
-- New ids go in as they are: their totals are the sums of their windows, and those leave the stage.
-- Until the end of the transaction nobody else sees these rows, so there is nothing to lock and
-- nothing to compare with. Whoever adds the same id at this moment is waited for, and then it is not
-- new any more: it stays staged, and is locked by the next statement (lock_staged_ids.sql). All writers go in
-- the order of ids, so they wait for each other in one direction; only that last case can end in a
-- deadlock, which is tried again.
WITH known AS MATERIALIZED (
    -- By an array, which is looked up in the index whatever the planner thinks: joined with the
    -- batch, all ids that there are would be read.
    SELECT id
    FROM {totals}
    WHERE id = ANY (ARRAY(SELECT DISTINCT id FROM staged))
    ORDER BY id
    FOR NO KEY UPDATE
),
added AS (
    INSERT INTO {totals} (
        id, trip_count, total_duration, total_distance, total_revenue, start_time,
        last_start_time
    )
    SELECT
        id,
        sum(trip_count)::bigint,
        sum(total_duration)::bigint,
        sum(total_distance)::bigint,
        sum(total_revenue)::bigint,
        min(start_time) FILTER (WHERE trip_count > 0),
        max(last_start_time) FILTER (WHERE trip_count > 0)
    FROM staged
    WHERE NOT EXISTS (SELECT FROM known WHERE known.id = staged.id)
    GROUP BY id
    ORDER BY id
    ON CONFLICT (id) DO NOTHING
    RETURNING id
),
taken AS (
    DELETE FROM staged USING added WHERE staged.id = added.id
    RETURNING staged.*
),
inserted AS (
    INSERT INTO {ledger} (
        id, window_start, trip_count, total_duration, total_distance, total_revenue, start_time,
        last_start_time, pane, generation
    )
    SELECT
        id, window_start, trip_count, total_duration, total_distance, total_revenue, start_time,
        last_start_time, pane, generation
    FROM taken
    ORDER BY id, window_start
)
SELECT
    (SELECT count(*) FROM taken) AS windows,
    (SELECT count(*) FROM known) AS known,
    ARRAY(SELECT id FROM added) AS unseen
