-- One writer at a time an id. All writers lock in the order of ids, so they can't deadlock.
SELECT count(*)
FROM (
    SELECT FROM {totals}
    WHERE id = ANY (ARRAY(SELECT DISTINCT id FROM staged))
    ORDER BY id
    FOR NO KEY UPDATE
) AS locked
