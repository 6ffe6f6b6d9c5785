-- Redis, which follows, asks for the ids that have changed since it was up to date.
CREATE TABLE changes (
    entity text NOT NULL,
    number bigint NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    ids text NOT NULL,
    PRIMARY KEY (entity, number)
);
COMMENT ON TABLE changes IS
    'The ids whose windows a transaction wrote, one a line, by its sequence number. Kept for an '
    'hour, and only where Redis follows.';

ALTER TABLE sequence_numbers ADD COLUMN backfilled bigint NOT NULL DEFAULT 0;
COMMENT ON COLUMN sequence_numbers.backfilled IS
    'The number of the last transaction of a backfill, which does not write to Redis itself.';
