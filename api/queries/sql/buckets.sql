-- The buckets of all ids or of one, in order of time: of the windows that start in a part. Each part
-- is a range of the index by time.
SELECT
    id,
    width_bucket(window_start, %(bounds)s::bigint[]) - 1 AS bucket,
    {additive_of_windows}{sketches}
FROM unnest(%(starts)s::bigint[], %(ends)s::bigint[]) AS part (part_start, part_end)
JOIN {ledger} ON window_start >= part_start AND window_start < part_end
WHERE window_start >= %(start)s AND window_start < %(end)s AND trip_count > 0 AND {chosen}
GROUP BY bucket, id
ORDER BY bucket, id
