-- The first id for which the staged windows are too large, and the measure: its totals would not fit
-- into a bigint afterwards, or reconcile.sql could not add the differences to the stored windows.
WITH differences AS (
    SELECT
        id,
        measure,
        held_amount,
        new_amount::numeric - coalesce(old_amount, 0) AS amount
    FROM staged AS new
    LEFT JOIN {ledger} AS old USING (id, window_start)
    LEFT JOIN {totals} AS held USING (id)
    CROSS JOIN LATERAL (
        VALUES {amounts}
    ) AS amounts (measure, new_amount, old_amount, held_amount)
    WHERE old.id IS NULL
        OR (new.generation, new.trip_count) >= (old.generation, old.trip_count)
)
SELECT id, measure
FROM differences
GROUP BY id, measure, held_amount
HAVING sum(abs(amount)) > 9223372036854775807
    OR abs(sum(amount) + coalesce(held_amount, 0)) > 9223372036854775807
ORDER BY id, measure
LIMIT 1
