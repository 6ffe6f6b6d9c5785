-- A backfill can leave windows without trips; they do not count.
SELECT id, trip_count, total_duration, total_distance, total_revenue
FROM {ledger}
WHERE window_start >= %(start)s AND window_start < %(end)s AND trip_count > 0
