-- One statement, one view of the tables: the watermark never promises more than the totals hold.
SELECT
    trip_count,
    total_duration,
    total_distance,
    total_revenue,
    start_time,
    (SELECT min(watermark) FROM progress WHERE entity = %(entity)s)
FROM {metrics}
WHERE id = %(id)s
