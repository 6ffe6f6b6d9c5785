-- The first id whose totals would not fit into a bigint after the staged windows, and the measure.
WITH moved AS (
    SELECT
        id,
        sum(new.trip_count::numeric - coalesce(old.trip_count, 0)) AS trip_count,
        sum(new.total_duration::numeric - coalesce(old.total_duration, 0)) AS total_duration,
        sum(new.total_distance::numeric - coalesce(old.total_distance, 0)) AS total_distance,
        sum(new.total_revenue::numeric - coalesce(old.total_revenue, 0)) AS total_revenue
    FROM staged AS new
    LEFT JOIN {ledger} AS old USING (id, window_start)
    WHERE old.id IS NULL
        OR (new.generation, new.trip_count) >= (old.generation, old.trip_count)
    GROUP BY id
)
SELECT id, measure
FROM moved
LEFT JOIN {totals} AS held USING (id)
CROSS JOIN LATERAL (
    VALUES
    ('trip_count', coalesce(held.trip_count, 0) + moved.trip_count),
    ('total_duration', coalesce(held.total_duration, 0) + moved.total_duration),
    ('total_distance', coalesce(held.total_distance, 0) + moved.total_distance),
    ('total_revenue', coalesce(held.total_revenue, 0) + moved.total_revenue)
) AS sums (measure, amount)
WHERE abs(amount) > 9223372036854775807
ORDER BY id
LIMIT 1
