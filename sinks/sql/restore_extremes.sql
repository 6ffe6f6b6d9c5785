-- The minima and maxima of ids, found again in all their windows: a new generation has taken away one
-- that was the best.
UPDATE {totals} AS totals SET {found_extremes}
FROM (
    SELECT id, {extremes_of_windows}
    FROM {ledger}
    WHERE id = ANY ({ids}) AND trip_count > 0
    GROUP BY id
) AS found
WHERE totals.id = found.id
RETURNING totals.id, {totals_of_ids}, totals.newest_window
