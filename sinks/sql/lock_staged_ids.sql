-- Lock the ids of the remaining windows: ids that another transaction has inserted meanwhile as
-- well.
SELECT count(*)
FROM (
    SELECT FROM {totals}
    WHERE id = ANY (ARRAY(SELECT DISTINCT id FROM staged))
    ORDER BY id
    FOR NO KEY UPDATE
) AS locked
