-- One statement sees one snapshot of the tables: the watermark never promises more than the totals
-- have.
SELECT
    {totals_of_ids},
    newest_window,
    (SELECT min(watermark) FROM progress WHERE entity = %(entity)s) AS watermark
FROM {totals}
WHERE id = %(id)s
