-- A backfill can leave windows without trips; they do not count.
SELECT id, {additive}
FROM {ledger}
WHERE window_start >= %(start)s AND window_start < %(end)s AND trip_count > 0
