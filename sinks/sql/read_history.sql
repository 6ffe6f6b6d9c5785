-- Totals and recent windows in one statement, so that they belong together: a row a window, each
-- with its id's totals. Windows count as recent up to {retention} ms behind the id's newest.
SELECT
    totals.id,
    totals.trip_count AS all_trip_count,
    totals.total_duration AS all_total_duration,
    totals.total_distance AS all_total_distance,
    totals.total_revenue AS all_total_revenue,
    totals.start_time AS all_start_time,
    totals.last_start_time AS all_last_start_time,
    greatest(1, {expiry} - extract(epoch FROM now() - totals.updated_at))::bigint AS left_seconds,
    recent.window_start,
    recent.trip_count,
    recent.total_duration,
    recent.total_distance,
    recent.total_revenue,
    recent.start_time,
    recent.last_start_time,
    recent.pane,
    recent.generation
FROM {totals} AS totals
CROSS JOIN LATERAL (SELECT max(window_start) AS start FROM {ledger} WHERE id = totals.id) AS newest
-- The offset keeps this a look into the index for each id: joined with the whole ledger it would be
-- read whole, months of it, for a few ids.
CROSS JOIN LATERAL (
    SELECT * FROM {ledger} AS held
    WHERE held.id = totals.id AND held.window_start >= newest.start - {retention}
    OFFSET 0
) AS recent
WHERE totals.id = ANY ({ids})
ORDER BY totals.id, recent.window_start
