-- The spans of one id, which is one range of the primary key. There is a row without a span where
-- there is none, for the watermark; and no row where the id is unknown.
SELECT
    spans.*,
    (SELECT min(watermark) FROM progress WHERE entity = %(entity)s)
FROM {totals} AS known
LEFT JOIN (
    SELECT
        width_bucket(window_start, %(edges)s::bigint[]) - 1 AS span,
        sum(trip_count)::bigint AS trip_count,
        sum(total_duration)::bigint AS total_duration,
        sum(total_distance)::bigint AS total_distance,
        sum(total_revenue)::bigint AS total_revenue,
        min(start_time) FILTER (WHERE trip_count > 0) AS start_time,
        max(last_start_time) FILTER (WHERE trip_count > 0) AS last_start_time
    FROM {ledger}
    WHERE id = %(id)s AND window_start >= %(start)s AND window_start < %(end)s
    GROUP BY span
    HAVING sum(trip_count) > 0
) AS spans ON true
WHERE known.id = %(id)s
ORDER BY spans.span
