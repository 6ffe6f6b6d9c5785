-- The sketches of the windows in the parts of a range, of one id or of all. Those that are lists of
-- records are one value, one after the other: so the API merges few values. Each other is one more.
SELECT
    coalesce(sum(trip_count), 0) AS trip_count{sketches},
    {newest_window} AS newest_window,
    (SELECT min(watermark) FROM progress WHERE entity = %(entity)s) AS watermark
FROM unnest(%(starts)s::bigint[], %(ends)s::bigint[]) AS part (part_start, part_end)
JOIN {ledger} ON window_start >= part_start AND window_start < part_end
WHERE window_start >= %(start)s AND window_start < %(end)s AND trip_count > 0 AND {chosen}
