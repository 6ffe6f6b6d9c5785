-- The sketches of windows, of one id or of all. Those that are lists of records are one value, one
-- after the other: so the API merges few values. Each other is one more.
SELECT
    coalesce(sum(trip_count), 0) AS trip_count{sketches},
    {newest_window} AS newest_window,
    (SELECT min(watermark) FROM progress WHERE entity = %(entity)s) AS watermark
FROM ({rows}) AS windows
WHERE {chosen}
