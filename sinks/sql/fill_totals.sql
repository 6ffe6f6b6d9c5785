-- Of the next ids, say which window is the newest and when the latest trip started, where that is not
-- known yet. The last of these ids is the answer; null after the last one.
WITH next AS (
    SELECT id FROM {totals} WHERE id > %(after)s ORDER BY id LIMIT 5000
),
filled AS (
    UPDATE {totals} AS totals SET
        newest_window = (
            SELECT max(window_start) FROM {ledger} AS ledger WHERE ledger.id = next.id
        ),
        last_start_time = CASE
            WHEN last_start_time IS NOT NULL THEN last_start_time
            ELSE (
                SELECT max(coalesce(ledger.last_start_time, ledger.start_time))
                FROM {ledger} AS ledger
                WHERE ledger.id = next.id AND trip_count > 0
            )
        END
    FROM next
    WHERE totals.id = next.id AND newest_window IS NULL
)
SELECT max(id) FROM next
