-- When the latest trip started. In windows of before it is null, and the earliest start stands for it;
-- to fill it in here would lock them for minutes. In totals it is filled in before the ledger becomes
-- partitioned (fill_totals.sql).
--
-- Locked in the order in which readers lock them, so that there is no deadlock: a view before its
-- table, the totals before the ledger. Readers wait behind this, so it gives up soon: after more than
-- the second (deadlock_timeout) after which autovacuum gives way.
SET LOCAL lock_timeout = '1500ms';

LOCK TABLE {metrics}, {windows} IN ACCESS EXCLUSIVE MODE;

ALTER TABLE {totals} ADD COLUMN last_start_time bigint;

ALTER TABLE {ledger} ADD COLUMN last_start_time bigint;

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
    epoch_ms_to_time(coalesce(last_start_time, start_time)) AS last_start_time
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
    epoch_ms_to_time(coalesce(last_start_time, start_time)) AS last_start_time
FROM {totals};
