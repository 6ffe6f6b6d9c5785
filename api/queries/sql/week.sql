-- The sums of the hours of the week with trips: of all ids, or of one. In each span, clocks are not
-- changed. Without any trip there is one row, which has the other columns only.
SELECT
    hours.*,
    (SELECT newest_window FROM sequence_numbers WHERE entity = %(entity)s) AS newest_window,
    (SELECT min(watermark) FROM progress WHERE entity = %(entity)s) AS watermark
FROM (SELECT) AS one
LEFT JOIN (
    SELECT hour_of_week, {additive_of_ids}
    FROM (
        SELECT mod((window_start + shift) / 3600000, 168)::int AS hour_of_week, {additive}
        FROM unnest(%(starts)s::bigint[], %(ends)s::bigint[], %(shifts)s::bigint[])
            AS span (span_start, span_end, shift)
        JOIN {ledger} ON window_start >= span_start AND window_start < span_end
        WHERE window_start >= %(start)s AND window_start < %(end)s
            AND trip_count > 0 AND {chosen}
    ) AS windows
    GROUP BY hour_of_week
) AS hours ON true
