-- Totals and recent windows in one statement, as of one moment: a row a window, each with the
-- totals of its id. A window is recent up to {retention} ms before the newest of its id.
SELECT
    totals.id,
    {all_measures},
    greatest(1, {expiry} - extract(epoch FROM now() - totals.updated_at))::bigint AS left_seconds,
    recent.window_start,
    {recent_measures},
    recent.pane,
    recent.generation
FROM {totals} AS totals
CROSS JOIN LATERAL (SELECT max(window_start) AS start FROM {ledger} WHERE id = totals.id) AS newest
-- OFFSET 0 keeps this an index scan for each id. As a join with the ledger, the planner could
-- choose to read all of the ledger for a few ids.
CROSS JOIN LATERAL (
    SELECT * FROM {ledger} AS ledger
    WHERE ledger.id = totals.id AND ledger.window_start >= newest.start - {retention}
    OFFSET 0
) AS recent
WHERE totals.id = ANY ({ids})
ORDER BY totals.id, recent.window_start
