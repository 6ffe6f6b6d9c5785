-- Ids are collated "C", so the primary key is in the order of their bytes and a page is one range of
-- it. There is a row without an id where there is none, for the watermark.
SELECT
    page.*,
    (SELECT min(watermark) FROM progress WHERE entity = %(entity)s)
FROM (SELECT) AS one
LEFT JOIN (
    SELECT id, trip_count, total_duration, total_distance, total_revenue
    FROM {totals}
    WHERE id > %(after)s AND id >= %(prefix)s AND id < %(beyond)s
    ORDER BY id
    LIMIT %(limit)s
) AS page ON true
ORDER BY page.id
