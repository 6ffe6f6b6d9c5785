-- The minima and maxima of ids, found again in all their windows, also those that were dropped: a new
-- generation has taken away one that was the best.
UPDATE {totals} AS totals SET {found_extremes}
FROM (
    SELECT id, {extremes_of_windows}
    FROM (
        SELECT id, {extremes} FROM {ledger} WHERE id = ANY ({ids}) AND trip_count > 0
        UNION ALL
        SELECT id, {extremes} FROM {before} WHERE id = ANY ({ids})
    ) AS windows
    GROUP BY id
) AS found
WHERE totals.id = found.id
RETURNING totals.id, {totals_of_ids}, totals.newest_window
