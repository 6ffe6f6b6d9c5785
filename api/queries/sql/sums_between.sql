-- A window without trips, which a backfill can leave, has no amounts either.
SELECT
    id,
    sum(trip_count)::bigint AS trip_count,
    sum(total_duration)::bigint AS total_duration,
    sum(total_distance)::bigint AS total_distance,
    sum(total_revenue)::bigint AS total_revenue
FROM ({rows}) AS counted
GROUP BY id
