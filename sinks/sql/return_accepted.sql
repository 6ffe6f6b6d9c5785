-- A row an accepted window, with the totals of its id after it. `newest` is from before it.
SELECT
    id,
    accepted.window_start,
    {totals_after},
    (SELECT max(window_start) FROM {ledger} AS kept WHERE kept.id = moved.id) AS newest
FROM accepted
JOIN moved USING (id)
