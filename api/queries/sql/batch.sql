SELECT
    id,
    {measures},
    newest.start AS newest_window,
    progress.watermark
FROM (SELECT min(watermark) AS watermark FROM progress WHERE entity = %(entity)s) AS progress
LEFT JOIN {totals} AS totals ON id = ANY (%(ids)s)
LEFT JOIN LATERAL (
    SELECT max(window_start) AS start FROM {ledger} AS ledger WHERE ledger.id = totals.id
) AS newest ON true
