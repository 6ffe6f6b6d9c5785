-- One writer at a time an id, also where another has added it since the batch was begun.
SELECT count(*)
FROM (
    SELECT FROM {totals}
    WHERE id = ANY (ARRAY(SELECT DISTINCT id FROM staged))
    ORDER BY id
    FOR NO KEY UPDATE
) AS locked
