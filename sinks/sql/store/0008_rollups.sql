ALTER TABLE sequence_numbers ADD COLUMN rolling_to bigint;
COMMENT ON COLUMN sequence_numbers.rolling_to IS
    'Who writes windows that start before it (epoch ms) records them in stale_hours.';

CREATE TABLE rollups (
    entity text NOT NULL,
    name text NOT NULL,
    offset_ms bigint NOT NULL,
    kept_from bigint,
    rolled_up_to bigint NOT NULL,
    PRIMARY KEY (entity, name)
);
COMMENT ON TABLE rollups IS
    'Up to when (epoch ms) the tables <entity>_<name> have all windows, but for those of stale hours, '
    'from when on those are kept, and by how much their intervals are moved from those of UTC.';

CREATE TABLE stale_hours (
    entity text NOT NULL,
    number bigint NOT NULL,
    hour bigint NOT NULL,
    PRIMARY KEY (entity, hour, number)
);
COMMENT ON TABLE stale_hours IS
    'The hours of UTC (epoch ms) whose windows the transaction of a number has changed, until they '
    'are rolled up again.';
