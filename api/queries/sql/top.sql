-- A row for each of the first ids, with the sums of all ids, which can exceed a bigint. Without any
-- id there is one row, which has the sums and the watermark only.
WITH sums AS MATERIALIZED ({sums}),
first AS ({first})
SELECT
    whole.*,
    (SELECT max(window_start) FROM {ledger}),
    (SELECT min(watermark) FROM progress WHERE entity = %(entity)s),
    first.id,
    first.rank,
    first.trip_count,
    first.total_duration,
    first.total_distance,
    first.total_revenue
FROM (
    SELECT
        count(*),
        coalesce(sum(trip_count), 0),
        coalesce(sum(total_duration), 0),
        coalesce(sum(total_distance), 0),
        coalesce(sum(total_revenue), 0)
    FROM sums
) AS whole
LEFT JOIN first ON true
ORDER BY first.rank, first.id
