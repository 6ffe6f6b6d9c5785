-- Without a range it reads all totals: see docs/adr/0012-totals-have-no-index-by-amount.md. Without any
-- id there is one row, which has the watermark only.
SELECT
    page.*,
    (SELECT min(watermark) FROM progress WHERE entity = %(entity)s) AS watermark
FROM (SELECT) AS one
LEFT JOIN (
    SELECT id, {additive}
    FROM ({ids}) AS ids
    WHERE {after} AND id >= %(prefix)s AND id < %(prefix_end)s
    ORDER BY {order}
    LIMIT %(limit)s
) AS page ON true
ORDER BY {order}
