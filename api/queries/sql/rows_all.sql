SELECT id, trip_count, total_duration, total_distance, total_revenue
FROM {totals}
WHERE trip_count > 0
