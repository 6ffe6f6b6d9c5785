-- When the latest trip started. Existing rows have only the earliest start, which is used for both.
-- The tables are locked in the order in which readers lock them, so that there is no deadlock.
LOCK TABLE {totals}, {ledger} IN ACCESS EXCLUSIVE MODE;

ALTER TABLE {ledger} ADD COLUMN last_start_time bigint;
-- Not an UPDATE, which would leave a dead row for each row: this rewrites the table.
ALTER TABLE {ledger}
    ALTER COLUMN last_start_time TYPE bigint USING start_time,
    ALTER COLUMN last_start_time SET NOT NULL;

ALTER TABLE {totals} ADD COLUMN last_start_time bigint;
UPDATE {totals} AS totals SET last_start_time = windows.last_start_time
FROM (
    SELECT id, max(last_start_time) FILTER (WHERE trip_count > 0) AS last_start_time
    FROM {ledger}
    GROUP BY id
) AS windows
WHERE totals.id = windows.id;

CREATE OR REPLACE VIEW {windows} AS
SELECT
    id,
    epoch_ms_to_time(window_start) AS window_start,
    epoch_ms_to_time(window_start + (SELECT value::bigint FROM meta WHERE name = 'window_ms'))
        AS window_end,
    trip_count,
    coalesce(total_duration::float8 / (nullif(trip_count, 0) * 1000000), 0) AS avg_duration,
    (total_duration * 0.000001)::numeric(19, 6) AS total_duration,
    (total_distance * 0.000001)::numeric(19, 6) AS total_distance,
    (total_revenue * 0.000001)::numeric(19, 6) AS total_revenue,
    epoch_ms_to_time(start_time) AS start_time,
    pane,
    generation,
    epoch_ms_to_time(last_start_time) AS last_start_time
FROM {ledger};

CREATE OR REPLACE VIEW {metrics} AS
SELECT
    id,
    trip_count,
    coalesce(total_duration::float8 / (nullif(trip_count, 0) * 1000000), 0) AS avg_duration,
    (total_duration * 0.000001)::numeric(19, 6) AS total_duration,
    (total_distance * 0.000001)::numeric(19, 6) AS total_distance,
    (total_revenue * 0.000001)::numeric(19, 6) AS total_revenue,
    epoch_ms_to_time(start_time) AS start_time,
    epoch_ms_to_time(last_start_time) AS last_start_time
FROM {totals};
