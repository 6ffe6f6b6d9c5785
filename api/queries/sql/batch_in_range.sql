-- The sums of ids over windows; without any they are null. Without any id there is one row, which has
-- the watermark only.
SELECT
    windows.*,
    totals.id,
    progress.watermark
FROM (SELECT min(watermark) AS watermark FROM progress WHERE entity = %(entity)s) AS progress
LEFT JOIN {totals} AS totals ON totals.id = ANY (%(ids)s)
LEFT JOIN (
    SELECT id AS window_id, {measures_of_windows}
    FROM ({rows}) AS windows
    WHERE id = ANY (%(ids)s)
    GROUP BY id
) AS windows ON window_id = totals.id
