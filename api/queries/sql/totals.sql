-- One statement sees one snapshot of the tables: the watermark never promises more than the totals
-- have.
SELECT
    {measures},
    newest_window,
    (SELECT min(watermark) FROM progress WHERE entity = %(entity)s) AS watermark
FROM {totals}
WHERE id = %(id)s
