-- Lock those ids of the batch that exist, and insert the others with the sums of their windows.
--
-- The windows of the new ids are inserted as they are and removed from `staged`. These rows are not
-- visible to others before the commit, so nothing is locked and nothing is compared. If another
-- transaction inserts the same id at this moment, this one waits for it, and then the id is not
-- new: its windows stay in `staged`, and the next statement (lock_staged_ids.sql) locks it. All
-- writers lock in the order of ids, so they wait for each other in one direction; only that last
-- case can end in a deadlock, and a deadlock is retried.
WITH known AS MATERIALIZED (
    -- An array is always looked up in the index. For a join with the batch the planner could choose
    -- to read all ids of the table.
    SELECT id
    FROM {totals}
    WHERE id = ANY (ARRAY(SELECT DISTINCT id FROM staged))
    ORDER BY id
    FOR NO KEY UPDATE
),
added AS (
    INSERT INTO {totals} (id, {measures})
    SELECT id, {measures_of_windows}
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
    INSERT INTO {ledger} (id, window_start, {measures}, pane, generation{sketches})
    SELECT id, window_start, {measures}, pane, generation{sketches}
    FROM taken
    ORDER BY id, window_start
)
SELECT
    (SELECT count(*) FROM taken) AS windows,
    (SELECT count(*) FROM known) AS known,
    ARRAY(SELECT id FROM added) AS new_ids
