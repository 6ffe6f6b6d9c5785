-- The sums of each id over the windows of a range.
SELECT
    id,
    sum(trip_count)::bigint AS trip_count,
    sum(total_duration)::bigint AS total_duration,
    sum(total_distance)::bigint AS total_distance,
    sum(total_revenue)::bigint AS total_revenue
FROM ({rows}) AS windows
GROUP BY id
