-- The buckets of all ids or of one, in order of time.
SELECT
    id,
    width_bucket(window_start, %(bounds)s::bigint[]) - 1 AS bucket,
    {additive_of_windows}{sketches}
FROM ({rows}) AS windows
WHERE {chosen}
GROUP BY bucket, id
ORDER BY bucket, id
