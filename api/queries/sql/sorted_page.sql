-- Sorted by a sum and then the id, both in one direction. It reads all totals: see
-- docs/adr/0012-totals-have-no-index-by-amount.md.
SELECT
    page.*,
    (SELECT min(watermark) FROM progress WHERE entity = %(entity)s) AS watermark
FROM (SELECT) AS one
LEFT JOIN (
    SELECT id, {additive}
    FROM {totals}
    WHERE {after} AND id >= %(prefix)s AND id < %(prefix_end)s
    ORDER BY {amount} {direction}, id {direction}
    LIMIT %(limit)s
) AS page ON true
ORDER BY page.{amount} {direction}, page.id {direction}
