-- A sum over all ids can exceed a bigint.
SELECT
    coalesce(sum(trip_count), 0),
    coalesce(sum(total_duration), 0),
    coalesce(sum(total_distance), 0),
    coalesce(sum(total_revenue), 0),
    (SELECT max(window_start) FROM {ledger}),
    (SELECT min(watermark) FROM progress WHERE entity = %(entity)s)
FROM ({rows}) AS rows
