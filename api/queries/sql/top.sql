-- A row for each of the first ids, with what all have together, which can be more than a bigint
-- holds; and a row without an id where there is none.
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
