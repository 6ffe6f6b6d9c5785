-- Add the totals of windows that the ledger lacks, and lock the totals of their ids, those of new
-- ids as well. Another writer of one of these ids waits for this transaction, or this one waits for
-- it and adds to what it has committed. All writers lock in the order of ids.
--
-- Whether the ledger lacks these windows is found when they are copied there: a window that it has
-- is a unique violation, and nothing of the transaction stays.
INSERT INTO {totals} AS totals (id, {measures}, newest_window)
SELECT id, {measures}, newest_window
FROM staged_totals
ORDER BY id
ON CONFLICT (id) DO UPDATE SET
    {moved_by_new_windows},
    newest_window = greatest(totals.newest_window, excluded.newest_window),
    updated_at = now()
