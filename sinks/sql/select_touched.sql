-- The totals of the ids of a batch after it, and their newest windows. The statements before this
-- one have locked these ids, so it sees all that others have committed of them, and nothing can
-- follow. An array is always looked up in the index, as in insert_new_ids.sql.
SELECT
    totals.id,
    {totals_of_ids},
    (SELECT max(window_start) FROM {ledger} AS ledger WHERE ledger.id = totals.id) AS newest
FROM {totals} AS totals
WHERE totals.id = ANY (ARRAY(SELECT id FROM staged_totals))
