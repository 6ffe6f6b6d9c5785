-- With the columns of added measures at their end: a view that is replaced keeps those it has.
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
    epoch_ms_to_time(coalesce(last_start_time, start_time)) AS last_start_time{added_in_units}
FROM {ledger};

CREATE OR REPLACE VIEW {metrics} AS
SELECT
    id,
    trip_count,
    coalesce(
        (coalesce(total_duration_carry, 0) * 1e18 + total_duration)::float8
            / (nullif(trip_count, 0) * 1000000),
        0
    ) AS avg_duration,
    (coalesce(total_duration_carry, 0) * 1e12 + total_duration * 0.000001)::numeric(38, 6)
        AS total_duration,
    (coalesce(total_distance_carry, 0) * 1e12 + total_distance * 0.000001)::numeric(38, 6)
        AS total_distance,
    (coalesce(total_revenue_carry, 0) * 1e12 + total_revenue * 0.000001)::numeric(38, 6)
        AS total_revenue,
    epoch_ms_to_time(start_time) AS start_time,
    epoch_ms_to_time(coalesce(last_start_time, start_time)) AS last_start_time{added_in_units}
FROM {totals};
