-- Totals and recent windows in one statement, so that they belong together: a row a window, each
-- with its id's totals. Windows count as recent up to {retention} ms behind the id's newest.
SELECT
    totals.id,
    totals.trip_count AS all_trip_count,
    totals.total_duration AS all_total_duration,
    totals.total_distance AS all_total_distance,
    totals.total_revenue AS all_total_revenue,
    totals.start_time AS all_start_time,
    greatest(1, {expiry} - extract(epoch FROM now() - totals.updated_at))::bigint AS left_seconds,
    recent.window_start,
    recent.trip_count,
    recent.total_duration,
    recent.total_distance,
    recent.total_revenue,
    recent.start_time,
    recent.pane,
    recent.generation
FROM {totals} AS totals
JOIN {ledger} AS recent ON recent.id = totals.id
    AND recent.window_start
        >= (SELECT max(window_start) FROM {ledger} WHERE id = totals.id) - {retention}
WHERE totals.id = ANY ({ids})
ORDER BY totals.id, recent.window_start
