-- Amounts are counts of a millionth of the unit (minutes, kilometres, currency), times epoch ms.
-- Ids sort by their bytes, the same on every machine. The fill factors leave room on the page for
-- the next version of a row, so that an update need not touch the index.
CREATE TABLE {ledger} (
    id text COLLATE "C" NOT NULL,
    window_start bigint NOT NULL,
    trip_count bigint NOT NULL,
    total_duration bigint NOT NULL,
    total_distance bigint NOT NULL,
    total_revenue bigint NOT NULL,
    start_time bigint NOT NULL,
    pane text NOT NULL,
    generation bigint NOT NULL,
    PRIMARY KEY (id, window_start)
) WITH (fillfactor = 80);

CREATE TABLE {totals} (
    id text COLLATE "C" PRIMARY KEY,
    trip_count bigint NOT NULL DEFAULT 0,
    total_duration bigint NOT NULL DEFAULT 0,
    total_distance bigint NOT NULL DEFAULT 0,
    total_revenue bigint NOT NULL DEFAULT 0,
    start_time bigint
) WITH (fillfactor = 60);

CREATE VIEW {windows} AS
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
    generation
FROM {ledger};

CREATE VIEW {metrics} AS
SELECT
    id,
    trip_count,
    coalesce(total_duration::float8 / (nullif(trip_count, 0) * 1000000), 0) AS avg_duration,
    (total_duration * 0.000001)::numeric(19, 6) AS total_duration,
    (total_distance * 0.000001)::numeric(19, 6) AS total_distance,
    (total_revenue * 0.000001)::numeric(19, 6) AS total_revenue,
    epoch_ms_to_time(start_time) AS start_time
FROM {totals};
