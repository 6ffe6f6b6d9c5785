-- The sums of the hours of the week with trips: of all ids, or of one. In each span, clocks are not
-- changed. Without any trip there is one row, which has the other columns only.
SELECT
    hours.*,
    (SELECT newest_window FROM sequence_numbers WHERE entity = %(entity)s) AS newest_window,
    (SELECT min(watermark) FROM progress WHERE entity = %(entity)s) AS watermark
FROM (SELECT) AS one
LEFT JOIN (
    SELECT
        mod(
            (
                window_start
                + (%(shifts)s::bigint[])[width_bucket(window_start, %(span_starts)s::bigint[])]
            ) / 3600000,
            168
        )::int AS hour_of_week,
        {additive_of_rows}
    FROM ({rows}) AS windows
    WHERE {chosen}
    GROUP BY hour_of_week
) AS hours ON true
