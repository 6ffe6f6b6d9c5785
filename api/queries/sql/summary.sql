-- The percentile of a share is the smallest value that at least this share of the ids does not
-- exceed. It is the value of an id, not interpolated.
WITH sums AS MATERIALIZED ({sums})
SELECT
    count(*),
    coalesce(sum(trip_count), 0),
    coalesce(sum(total_duration), 0),
    coalesce(sum(total_distance), 0),
    coalesce(sum(total_revenue), 0),
    percentile_disc(%(shares)s::float8[]) WITHIN GROUP (ORDER BY trip_count),
    percentile_disc(%(shares)s::float8[]) WITHIN GROUP (ORDER BY total_duration),
    percentile_disc(%(shares)s::float8[]) WITHIN GROUP (ORDER BY total_distance),
    percentile_disc(%(shares)s::float8[]) WITHIN GROUP (ORDER BY total_revenue),
    (SELECT max(window_start) FROM {ledger}),
    (SELECT min(watermark) FROM progress WHERE entity = %(entity)s)
FROM sums
