-- The first id for which the staged windows are too large, and the measure: its totals would not fit
-- into a bigint afterwards, or reconcile.sql could not add the differences to the stored windows.
WITH differences AS (
    SELECT
        id,
        measure,
        new_amount::numeric - coalesce(old_amount, 0) AS amount
    FROM staged AS new
    LEFT JOIN {ledger} AS old USING (id, window_start)
    CROSS JOIN LATERAL (
        VALUES
        ('trip_count', new.trip_count, old.trip_count),
        ('total_duration', new.total_duration, old.total_duration),
        ('total_distance', new.total_distance, old.total_distance),
        ('total_revenue', new.total_revenue, old.total_revenue)
    ) AS amounts (measure, new_amount, old_amount)
    WHERE old.id IS NULL
        OR (new.generation, new.trip_count) >= (old.generation, old.trip_count)
)
SELECT id, measure
FROM differences
LEFT JOIN {totals} AS held USING (id)
GROUP BY id, measure, held.trip_count, held.total_duration, held.total_distance, held.total_revenue
HAVING sum(abs(amount)) > 9223372036854775807
    OR abs(
        sum(amount) + coalesce(
            CASE measure
                WHEN 'trip_count' THEN held.trip_count
                WHEN 'total_duration' THEN held.total_duration
                WHEN 'total_distance' THEN held.total_distance
                ELSE held.total_revenue
            END,
            0
        )
    ) > 9223372036854775807
ORDER BY id, measure
LIMIT 1
