SELECT
    id,
    {totals_of_ids},
    newest_window,
    progress.watermark
FROM (SELECT min(watermark) AS watermark FROM progress WHERE entity = %(entity)s) AS progress
LEFT JOIN {totals} AS totals ON id = ANY (%(ids)s)
