-- One statement sees one snapshot of the tables: the watermark never promises more than the totals
-- have.
SELECT
    trip_count,
    total_duration,
    total_distance,
    total_revenue,
    start_time,
    last_start_time,
    (SELECT max(window_start) FROM {ledger} WHERE id = %(id)s),
    (SELECT min(watermark) FROM progress WHERE entity = %(entity)s)
FROM {totals}
WHERE id = %(id)s
