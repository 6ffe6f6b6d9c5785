-- A row an accepted window, with the totals of its id after it.
SELECT
    id,
    accepted.window_start,
    {totals_after},
    moved.newest_window
FROM accepted
JOIN moved USING (id)
