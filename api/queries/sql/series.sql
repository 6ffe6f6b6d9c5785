-- The buckets of one id, whose windows are one range of a primary key. Without any bucket there is one
-- row, which has the other columns only; for an unknown id there is no row.
SELECT
    buckets.*,
    known.newest_window,
    (SELECT min(watermark) FROM progress WHERE entity = %(entity)s) AS watermark
FROM {totals} AS known
LEFT JOIN (
    SELECT
        width_bucket(window_start, %(bounds)s::bigint[]) - 1 AS bucket,
        {measures_of_windows}
    FROM ({rows}) AS windows
    WHERE id = %(id)s
    GROUP BY bucket
) AS buckets ON true
WHERE known.id = %(id)s
ORDER BY buckets.bucket
