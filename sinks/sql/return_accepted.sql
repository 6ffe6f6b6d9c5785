-- A row an accepted window, with the totals of its id after it, and whether a minimum or a maximum of
-- the id has to be found again.
SELECT
    id,
    accepted.window_start,
    {totals_after},
    moved.newest_window,
    has_lost
FROM accepted
JOIN moved USING (id)
