-- Ids are collated "C", so the primary key is in the order of their bytes, and a page is one range of
-- it. Without any id there is one row, which has the watermark only.
SELECT
    page.*,
    (SELECT min(watermark) FROM progress WHERE entity = %(entity)s) AS watermark
FROM (SELECT) AS one
LEFT JOIN (
    SELECT id, {additive_of_totals}
    FROM {totals}
    WHERE id > %(after)s AND id >= %(prefix)s AND id < %(prefix_end)s
    ORDER BY id
    LIMIT %(limit)s
) AS page ON true
ORDER BY page.id
