-- Lock the ids of a batch, and add those that the store lacks, with totals of nothing; count both.
--
-- If another transaction inserts the same id at this moment, this one waits for it. Then the id is
-- in neither: the same statement once more locks it. All writers lock in the order of ids, so they
-- wait for each other in one direction; only that case can end in a deadlock, and a deadlock is
-- retried.
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
    INSERT INTO {totals} (id)
    SELECT DISTINCT id
    FROM staged
    WHERE NOT EXISTS (SELECT FROM known WHERE known.id = staged.id)
    ORDER BY id
    ON CONFLICT (id) DO NOTHING
    RETURNING id
)
SELECT (SELECT count(*) FROM known) + (SELECT count(*) FROM added)
