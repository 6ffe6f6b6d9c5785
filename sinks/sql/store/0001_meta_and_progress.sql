CREATE TABLE meta (
    name text PRIMARY KEY,
    value text NOT NULL
);
COMMENT ON TABLE meta IS
    'The fingerprint of the settings that this store was filled with, and the window length.';

CREATE TABLE progress (
    entity text NOT NULL,
    shard integer NOT NULL,
    shards integer NOT NULL,
    watermark bigint NOT NULL,
    PRIMARY KEY (entity, shard)
);
COMMENT ON TABLE progress IS
    'How far each shard has got: every row up to this watermark (epoch ms) is in the store.';

-- Whole seconds and the rest apart: an interval is multiplied in double precision, which would be
-- some microseconds off in far years.
CREATE FUNCTION epoch_ms_to_time(ms bigint) RETURNS timestamptz
LANGUAGE sql IMMUTABLE PARALLEL SAFE STRICT
RETURN timestamptz '1970-01-01 00:00:00+00'
    + (ms / 1000) * interval '1 second'
    + (ms % 1000) * interval '1 millisecond';
