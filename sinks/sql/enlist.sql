-- Every id of the batch gets a row of totals, in order, so that there is something to lock. An id
-- that another writer is adding at this moment is waited for.
INSERT INTO {totals} (id)
SELECT DISTINCT id FROM staged
WHERE NOT EXISTS (SELECT FROM {totals} AS totals WHERE totals.id = staged.id)
ORDER BY id
ON CONFLICT (id) DO NOTHING
